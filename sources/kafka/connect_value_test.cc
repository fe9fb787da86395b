#include "sources/kafka/connect_value.h"

#include <fstream>
#include <map>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace pgflow::sources {
namespace {

std::string TextOf(const std::string& schema, const std::string& value) {
  const auto type = ReadConnectType(schema);
  EXPECT_TRUE(type.ok()) << type.status();
  std::string text;
  const absl::Status status = AppendConnectText(*type, value, text);
  EXPECT_TRUE(status.ok()) << status << " " << schema << " " << value;
  return text;
}

// What Debezium's own connector wrote becomes the literal that it came from, or one that means it.
TEST(ConnectValue, ReadsWhatDebeziumWrote) {
  const std::map<std::string, std::string> others = {
      {"true", "t"},
      {"1", "t"},    // bit(1)
      {"a", "a  "},  // char(3)
      {"101", "000000000101"},
      {"12:34:56.789012+02", "10:34:56.789012Z"},
      {"2024-02-29 12:34:56.789012+02", "2024-02-29T10:34:56.789012Z"},
      {"1 year 2 mons 3 days 04:05:06.789", "37091106789000 microseconds"},
      {"{\"b\":[1,2.50]}", "{\"b\": [1, 2.50]}"},
      {"(1,2.5)", "(1.0,2.5)"},
      {"a=>1,b=>NULL", "{\"a\":\"1\",\"b\":null}"},
      {"1e300", "1e+300"},
      {"a b", "'a' 'b'"},
      {"{1,NULL,3}", "{\"1\",NULL,\"3\"}"},
      {"{a,\"b c\"}", "{\"a\",\"b c\"}"},
      {"{1.5,2}", "{\"1.5\",\"2\"}"},
      {"{2024-02-29}", "{\"2024-02-29\"}"},
      {"{sad}", "{\"sad\"}"},
      {"$1,234.50", "1234.50"},
  };
  std::ifstream file(PGFLOW_DEBEZIUM_VALUES);
  size_t count = 0;
  for (std::string line; std::getline(file, line);) {
    const auto json = nlohmann::ordered_json::parse(line);
    if (!json.contains("schema")) continue;
    const std::string literal = json["literal"];
    const std::string type = json["schema"].value("name", "");
    if (type.starts_with("io.debezium.data.geometry.") && !type.ends_with(".Point")) {
      EXPECT_FALSE(ReadConnectType(json["schema"].dump()).ok()) << line;
      continue;
    }
    const auto other = others.find(literal);
    EXPECT_EQ(TextOf(json["schema"].dump(), json["value"].dump()),
              other == others.end() ? literal : other->second)
        << line;
    ++count;
  }
  EXPECT_GT(count, 40U);
}

TEST(ConnectValue, ReadsTheEndsOfTheRanges) {
  const std::string micros = R"({"type":"int64","name":"io.debezium.time.MicroTimestamp"})";
  EXPECT_EQ(TextOf(micros, "9223372036854775807"), "infinity");
  EXPECT_EQ(TextOf(micros, "-9223372036854775808"), "-infinity");
  EXPECT_EQ(TextOf(micros, "-63517780800000000"), "0044-03-15 12:00:00 BC");
  EXPECT_EQ(TextOf(R"({"type":"int32","name":"io.debezium.time.Date"})", "2147483647"), "infinity");
  EXPECT_EQ(TextOf(R"({"type":"int64","name":"io.debezium.time.MicroTime"})", "86400000000"),
            "24:00:00");
  const std::string zoned = R"({"type":"string","name":"io.debezium.time.ZonedTimestamp"})";
  EXPECT_EQ(TextOf(zoned, R"("-0043-03-15T12:00:00.000000Z")"), "0044-03-15T12:00:00.000000Z BC");
  EXPECT_EQ(TextOf(zoned, R"("infinity")"), "infinity");
  EXPECT_EQ(TextOf(R"({"type":"double"})", R"("NaN")"), "NaN");
  EXPECT_EQ(TextOf(R"({"type":"bytes"})", R"("")"), "\\x");
  EXPECT_EQ(TextOf(R"({"type":"array","items":{"type":"string"}})", R"([["a\"\\",null],["",""]])"),
            R"({{"a\"\\",NULL},{"",""}})");
}

TEST(ConnectValue, ReadsDecimalsOfAnySizeAndSign) {
  const auto decimal = [](int scale, const std::string& base64) {
    return TextOf(R"({"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":)"
                  R"({"scale":")" +
                      std::to_string(scale) + "\"}}",
                  '"' + base64 + '"');
  };
  EXPECT_EQ(decimal(2, "/w=="), "-0.01");
  EXPECT_EQ(decimal(0, "gA=="), "-128");
  EXPECT_EQ(decimal(3, "AA=="), "0.000");
  EXPECT_EQ(decimal(-2, "Bw=="), "700");
  EXPECT_EQ(decimal(0, "AQAAAAAAAAAAAAAAAAAAAAA="), "340282366920938463463374607431768211456");
}

TEST(ConnectValue, RefusesWhatHasNoText) {
  EXPECT_FALSE(ReadConnectType(R"({"type":"map","keys":{"type":"string"}})").ok());
  EXPECT_FALSE(
      ReadConnectType(R"({"type":"struct","name":"io.debezium.data.geometry.Geometry"})").ok());
  const auto number = ReadConnectType(R"({"type":"int64","name":"io.debezium.time.MicroTime"})");
  std::string text;
  EXPECT_FALSE(AppendConnectText(*number, "\"x\"", text).ok());
}

}  // namespace
}  // namespace pgflow::sources
