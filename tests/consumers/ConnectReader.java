// Reads topics as a connector would: through Kafka Connect's JSON converter with schemas, which
// refuses a value that is not what its schema says, and its converter of headers. Prints a line a
// message: topic, what it is, its headers.
//
//   java -cp 'connect/lib/*' ConnectReader.java BROKERS PATTERN

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.connect.data.ConnectSchema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.storage.SimpleHeaderConverter;

public class ConnectReader {
  private static final JsonConverter keys = new JsonConverter();
  private static final JsonConverter values = new JsonConverter();
  private static final SimpleHeaderConverter headers = new SimpleHeaderConverter();

  private static SchemaAndValue convert(JsonConverter converter, String topic, byte[] bytes) {
    SchemaAndValue read = converter.toConnectData(topic, bytes);
    if (read.schema() != null) ConnectSchema.validateValue(read.schema(), read.value());
    if (read.value() instanceof Struct struct) struct.validate();
    return read;
  }

  private static String describe(ConsumerRecord<byte[], byte[]> record) {
    SchemaAndValue key = convert(keys, record.topic(), record.key());
    SchemaAndValue value = convert(values, record.topic(), record.value());
    Map<String, Object> read = new HashMap<>();
    for (Header header : record.headers()) {
      if (!header.key().startsWith("__debezium")) continue;
      read.put(header.key(),
               headers.toConnectHeader(record.topic(), header.key(), header.value()).value());
    }
    return record.topic() + "\t" + key.value() + "\t" + value.value() + "\t" + read;
  }

  public static void main(String[] arguments) {
    keys.configure(Map.of("schemas.enable", "true"), true);
    values.configure(Map.of("schemas.enable", "true"), false);
    headers.configure(Map.of());
    Properties settings = new Properties();
    settings.put("bootstrap.servers", arguments[0]);
    settings.put("isolation.level", "read_committed");
    try (var consumer = new KafkaConsumer<byte[], byte[]>(
             settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      List<TopicPartition> partitions = new ArrayList<>();
      for (var topic : consumer.listTopics().entrySet()) {
        if (!topic.getKey().matches(arguments[1])) continue;
        for (var part : topic.getValue()) {
          partitions.add(new TopicPartition(part.topic(), part.partition()));
        }
      }
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      var ends = consumer.endOffsets(partitions);
      boolean more = true;
      while (more) {
        for (var record : consumer.poll(Duration.ofMillis(200))) {
          System.out.println(describe(record));
        }
        more = partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p));
      }
    }
  }
}
