// One Elasticsearch node for tests, run from its source: java -cp 'lib/*' ElasticsearchNode.java HOME
// setting=value ... Ends on SIGTERM. For ScratchOpenSearch only.

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.index.mapper.MapperExtrasPlugin;
import org.elasticsearch.index.reindex.ReindexPlugin;
import org.elasticsearch.join.ParentJoinPlugin;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.transport.Netty4Plugin;

public class ElasticsearchNode extends Node {
  ElasticsearchNode(Settings settings, Path config) {
    super(
        InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), config, () -> "scratch"),
        List.of(
            Netty4Plugin.class,
            ReindexPlugin.class,
            MapperExtrasPlugin.class,
            ParentJoinPlugin.class),
        true);
  }

  @Override
  protected void configureNodeAndClusterIdStateListener(
      org.elasticsearch.cluster.service.ClusterService clusterService) {}

  public static void main(String[] arguments) throws Exception {
    Settings.Builder settings = Settings.builder().put("path.home", arguments[0]);
    for (int i = 1; i < arguments.length; i++) {
      String[] setting = arguments[i].split("=", 2);
      settings.put(setting[0], setting[1]);
    }
    Node node = new ElasticsearchNode(settings.build(), Path.of(arguments[0], "config"));
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
