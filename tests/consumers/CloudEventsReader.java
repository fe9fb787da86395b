// Reads a topic with the SDK of CloudEvents: its own deserializer for Kafka. Prints a line an
// event: type, subject, id, the data's media type, the data.
//
//   java -cp 'cloudevents/lib/*' CloudEventsReader.java BROKERS TOPIC

import io.cloudevents.CloudEvent;
import io.cloudevents.kafka.CloudEventDeserializer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

public class CloudEventsReader {
  public static void main(String[] arguments) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", arguments[0]);
    settings.put("isolation.level", "read_committed");
    try (var consumer = new KafkaConsumer<String, CloudEvent>(
             settings, new StringDeserializer(), new CloudEventDeserializer())) {
      TopicPartition partition = new TopicPartition(arguments[1], 0);
      consumer.assign(List.of(partition));
      consumer.seekToBeginning(List.of(partition));
      long end = consumer.endOffsets(List.of(partition)).get(partition);
      while (consumer.position(partition) < end) {
        for (var record : consumer.poll(Duration.ofMillis(200))) {
          CloudEvent event = record.value();
          if (event == null) continue;  // A tombstone.
          System.out.println(event.getType() + "\t" + event.getSubject() + "\t" + event.getId()
              + "\t" + event.getDataContentType() + "\t"
              + new String(event.getData().toBytes(), StandardCharsets.UTF_8));
        }
      }
    }
  }
}
