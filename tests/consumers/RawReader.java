// Prints a topic as it is, a line a message: the headers as a JSON object of base64, the key and
// the value in base64 (- where there is none).
//
//   java -cp 'kafka/lib/*' RawReader.java BROKERS TOPIC

import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

public class RawReader {
  private static String encode(byte[] bytes) {
    return bytes == null ? "-" : Base64.getEncoder().encodeToString(bytes);
  }

  public static void main(String[] arguments) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", arguments[0]);
    settings.put("isolation.level", "read_committed");
    try (var consumer = new KafkaConsumer<byte[], byte[]>(
             settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      TopicPartition partition = new TopicPartition(arguments[1], 0);
      consumer.assign(List.of(partition));
      consumer.seekToBeginning(List.of(partition));
      long end = consumer.endOffsets(List.of(partition)).get(partition);
      while (consumer.position(partition) < end) {
        for (var record : consumer.poll(Duration.ofMillis(200))) {
          List<String> headers = new ArrayList<>();
          for (Header header : record.headers()) {
            headers.add("\"" + header.key() + "\":\"" + encode(header.value()) + "\"");
          }
          System.out.println("{" + String.join(",", headers) + "}\t" + encode(record.key()) + "\t"
              + encode(record.value()));
        }
      }
    }
  }
}
