// One OpenSearch node for tests, run from its source: java -cp 'lib/*' OpenSearchNode.java HOME
// setting=value ... Ends on SIGTERM. For ScratchOpenSearch only.

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.opensearch.common.settings.Settings;
import org.opensearch.index.mapper.MapperExtrasPlugin;
import org.opensearch.index.reindex.ReindexPlugin;
import org.opensearch.join.ParentJoinPlugin;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.Plugin;
import org.opensearch.transport.Netty4Plugin;

public class OpenSearchNode extends Node {
  OpenSearchNode(Settings settings, Path config) {
    super(
        InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), config, () -> "scratch"),
        plugins(),
        true);
  }

  // Version 1 comes without some of them.
  private static List<Class<? extends Plugin>> plugins() {
    List<Class<? extends Plugin>> found =
        new ArrayList<>(
            List.of(
                Netty4Plugin.class,
                ReindexPlugin.class,
                MapperExtrasPlugin.class,
                ParentJoinPlugin.class));
    for (String name :
        List.of(
            "org.opensearch.analysis.common.CommonAnalysisPlugin",
            "org.opensearch.painless.PainlessPlugin",
            "org.opensearch.ingest.common.IngestCommonPlugin")) {
      try {
        found.add(Class.forName(name).asSubclass(Plugin.class));
      } catch (ClassNotFoundException absent) {
        // Not among the archives.
      }
    }
    return found;
  }

  @Override
  protected void configureNodeAndClusterIdStateListener(
      org.opensearch.cluster.service.ClusterService clusterService) {}

  public static void main(String[] arguments) throws Exception {
    Settings.Builder settings = Settings.builder().put("path.home", arguments[0]);
    for (int i = 1; i < arguments.length; i++) {
      String[] setting = arguments[i].split("=", 2);
      settings.put(setting[0], setting[1]);
    }
    Node node = new OpenSearchNode(settings.build(), Path.of(arguments[0], "config"));
    CountDownLatch ended = new CountDownLatch(1);
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  try {
                    node.close();
                  } catch (java.io.IOException ignored) {
                    // The directory is thrown away.
                  }
                  ended.countDown();
                }));
    node.start();
    ended.await();
  }
}
