// Decodes messages with Avro's own library and a schema registry, run from its source: java -cp
// 'lib/*' AvroReader.java REGISTRY_URL FILE. For ScratchRegistry only.
//
// A line of the file has a key and a value in base64, or - for none. Prints a JSON object a line:
// {"key":...,"value":...,"schema":"the value's record","id":its number}. Bytes are base64, decimals
// numbers in a string.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigDecimal;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Conversions;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;

public class AvroReader {
  private static final JsonNodeFactory JSON = JsonNodeFactory.instance;
  private final Map<Integer, Schema> schemas = new HashMap<>();
  private final HttpClient http = HttpClient.newHttpClient();
  private final GenericData model = new GenericData();
  private final String url;

  AvroReader(String url) {
    this.url = url;
    model.addLogicalTypeConversion(new Conversions.DecimalConversion());
  }

  private Schema schema(int id) throws Exception {
    if (!schemas.containsKey(id)) {
      HttpRequest request = HttpRequest.newBuilder(URI.create(url + "/schemas/ids/" + id)).build();
      HttpResponse<String> answer = http.send(request, HttpResponse.BodyHandlers.ofString());
      String text = new ObjectMapper().readTree(answer.body()).get("schema").asText();
      schemas.put(id, new Schema.Parser().parse(text));
    }
    return schemas.get(id);
  }

  private ObjectNode read(String base64) throws Exception {
    byte[] bytes = Base64.getDecoder().decode(base64);
    ByteBuffer header = ByteBuffer.wrap(bytes);
    if (header.get() != 0) throw new IllegalStateException("no magic byte");
    int id = header.getInt();
    BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(bytes, 5, bytes.length - 5, null);
    Schema schema = schema(id);
    Object value = new GenericDatumReader<Object>(schema, schema, model).read(null, decoder);
    if (!decoder.isEnd()) throw new IllegalStateException("bytes behind the end");
    ObjectNode read = JSON.objectNode();
    read.set("value", json(value));
    read.put("schema", schema.getFullName());
    return read.put("id", id);
  }

  private JsonNode json(Object value) {
    if (value == null) return JSON.nullNode();
    if (value instanceof GenericRecord) {
      GenericRecord record = (GenericRecord) value;
      ObjectNode object = JSON.objectNode();
      for (Schema.Field field : record.getSchema().getFields()) {
        object.set(field.name(), json(record.get(field.pos())));
      }
      return object;
    }
    if (value instanceof List) {
      ArrayNode array = JSON.arrayNode();
      for (Object item : (List<?>) value) array.add(json(item));
      return array;
    }
    if (value instanceof ByteBuffer) {
      ByteBuffer buffer = ((ByteBuffer) value).duplicate();
      byte[] bytes = new byte[buffer.remaining()];
      buffer.get(bytes);
      return JSON.textNode(Base64.getEncoder().encodeToString(bytes));
    }
    if (value instanceof BigDecimal) return JSON.textNode(((BigDecimal) value).toPlainString());
    if (value instanceof Integer) return JSON.numberNode((Integer) value);
    if (value instanceof Long) return JSON.numberNode((Long) value);
    if (value instanceof Boolean) return JSON.booleanNode((Boolean) value);
    // Floats as Java prints them: shortest, and NaN is no JSON number.
    return JSON.textNode(value.toString());
  }

  public static void main(String[] arguments) throws Exception {
    AvroReader reader = new AvroReader(arguments[0]);
    for (String line : Files.readAllLines(Path.of(arguments[1]))) {
      String[] parts = line.split(" ");
      ObjectNode message = JSON.objectNode();
      if (!parts[0].equals("-")) message.set("key", reader.read(parts[0]).get("value"));
      if (!parts[1].equals("-")) message.setAll(reader.read(parts[1]));
      System.out.println(message);
    }
  }
}
