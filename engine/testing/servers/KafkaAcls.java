// Allows users of a Kafka cluster what a test says, run from its source: java -cp 'lib/*'
// KafkaAcls.java BROKERS "user TYPE name OPERATION" ... A name is a prefix, or *. For ScratchKafka
// only.

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

public class KafkaAcls {
  public static void main(String[] arguments) throws Exception {
    List<AclBinding> bindings = new ArrayList<>();
    for (int i = 1; i < arguments.length; i++) {
      String[] rule = arguments[i].split(" ");
      boolean all = rule[2].equals("*") || rule[1].equals("CLUSTER");
      String name = rule[1].equals("CLUSTER") ? "kafka-cluster" : rule[2];
      bindings.add(
          new AclBinding(
              new ResourcePattern(
                  ResourceType.valueOf(rule[1]),
                  name,
                  all ? PatternType.LITERAL : PatternType.PREFIXED),
              new AccessControlEntry(
                  "User:" + rule[0],
                  "*",
                  AclOperation.valueOf(rule[3]),
                  AclPermissionType.ALLOW)));
    }
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", arguments[0]))) {
      admin.createAcls(bindings).all().get();
    }
  }
}
