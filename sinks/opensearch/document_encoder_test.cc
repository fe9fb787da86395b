#include "sinks/opensearch/document_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "sinks/opensearch/text_fields.h"

namespace pgflow::sinks {
namespace {

using schemas::Value;
using schemas::ValueKind;
using testing::HasSubstr;
namespace oid = postgres::oid;

Value Text(std::string_view text) {
  return {text.data(), static_cast<uint32_t>(text.size()), ValueKind::kText};
}
Value Binary(std::string_view bytes) {
  return {bytes.data(), static_cast<uint32_t>(bytes.size()), ValueKind::kBinary};
}

schemas::Column Column(postgres::Oid type, const std::string& type_name = "") {
  return {.name = "c",
          .type = type,
          .type_modifier = -1,
          .attribute_number = 1,
          .identity = false,
          .type_name = type_name,
          .wire_type = 0};
}

std::string Field(const schemas::Column& column, const Value& value,
                  const nlohmann::json& chosen = nullptr) {
  const FieldMapping mapped = MapColumn(column, {}, {false, 2, 19, false}, chosen);
  std::string out;
  AppendField(mapped.plan, value, out);
  return out;
}
std::string Field(postgres::Oid type, std::string_view text) {
  return Field(Column(type), Text(text));
}
nlohmann::json Mapping(postgres::Oid type, const SearchProduct& product = {false, 2, 19, false}) {
  return MapColumn(Column(type), {}, product, nullptr).mapping;
}

TEST(FieldTest, NumbersKeepEveryDigit) {
  EXPECT_EQ(Field(oid::kInt8, "9223372036854775807"), "9223372036854775807");
  const std::string digits = "1234567890123456789012345678901234567890.000";
  EXPECT_EQ(Field(oid::kNumeric, digits), digits);
  EXPECT_EQ(Field(oid::kNumeric, "NaN"), "\"NaN\"");
  EXPECT_EQ(Field(oid::kFloat8, "-Infinity"), "\"-Infinity\"");
  EXPECT_EQ(Field(oid::kBool, "t"), "true");
  // Longer than the server's reader takes as a number.
  const std::string longest(1000, '7');
  EXPECT_EQ(Field(oid::kNumeric, longest), "\"" + longest + "\"");
}

TEST(FieldTest, NetworksAreWhatARangeOfAddressesTakes) {
  constexpr postgres::Oid kInet = 869;
  constexpr postgres::Oid kCidr = 650;
  EXPECT_EQ(Field(kInet, "10.1.2.3/24"), "\"10.1.2.3/24\"");
  EXPECT_EQ(Field(kInet, "10.1.2.3"), "\"10.1.2.3\"");
  EXPECT_EQ(Field(kCidr, "10.0.0.0/8"), "\"10.0.0.0/8\"");
  const nlohmann::json range = {{"type", "ip_range"}};
  const auto network = [&](std::string_view text) {
    return Field(Column(kInet), Text(text), range);
  };
  EXPECT_EQ(network("10.1.2.3"), "\"10.1.2.3/32\"");
  EXPECT_EQ(network("10.1.2.3/24"), "\"10.1.2.3/24\"");
  EXPECT_EQ(network("2001:db8::1"), "\"2001:db8::1/128\"");
  EXPECT_EQ(network("::/0"), "\"::/0\"");
  EXPECT_EQ(network("::ffff:1.2.3.4/120"),
            R"({"gte":"0:0:0:0:0:ffff:102:300","lte":"0:0:0:0:0:ffff:102:3ff"})");
  EXPECT_EQ(network("::ffff:1.2.3.4"),
            R"({"gte":"0:0:0:0:0:ffff:102:304","lte":"0:0:0:0:0:ffff:102:304"})");
  EXPECT_EQ(network("::ffff:0.0.0.0/95"),
            R"({"gte":"0:0:0:0:0:fffe:0:0","lte":"0:0:0:0:0:ffff:ffff:ffff"})");
  EXPECT_EQ(Field(Column(kCidr), Text("10.0.0.0/8"), {{"type", "keyword"}}), "\"10.0.0.0/8\"");
  constexpr postgres::Oid kInets = 1041;
  EXPECT_EQ(Field(Column(kInets), Text("{10.0.0.1,NULL,10.0.0.0/8}"), range),
            R"(["10.0.0.1/32",null,"10.0.0.0/8"])");
  for (const char* none : {"", "x", "10.0.0.1/33", "10.0.0.1/", "::1/129", "10.0.0.1/8x"}) {
    EXPECT_EQ(network(none), "\"" + std::string(none) + "\"");
  }
}

TEST(FieldTest, TimesAreIso8601) {
  EXPECT_EQ(Field(oid::kDate, "2026-01-31"), "\"2026-01-31\"");
  EXPECT_EQ(Field(oid::kDate, "12345-01-31"), "\"+12345-01-31\"");
  EXPECT_EQ(Field(oid::kDate, "0044-03-15 BC"), "\"-0043-03-15\"");
  EXPECT_EQ(Field(oid::kDate, "0001-12-31 BC"), "\"0000-12-31\"");
  EXPECT_EQ(Field(oid::kDate, "infinity"), "\"infinity\"");
  EXPECT_EQ(Field(oid::kTimestamp, "2026-01-31 12:00:00.000001"), "\"2026-01-31T12:00:00.000001\"");
  EXPECT_EQ(Field(oid::kTimestamptz, "2026-01-31 12:00:00+00"), "\"2026-01-31T12:00:00Z\"");
  EXPECT_EQ(Field(oid::kTimestamptz, "2026-01-31 12:00:00+05:30"), "\"2026-01-31T12:00:00+05:30\"");
  EXPECT_EQ(Field(oid::kTimestamptz, "0044-03-15 12:00:00-03 BC"),
            "\"-0043-03-15T12:00:00-03:00\"");
  EXPECT_EQ(Field(oid::kTimestamp, "-infinity"), "\"-infinity\"");
}

TEST(FieldTest, TextsAreStringsWhateverTheirBytes) {
  EXPECT_EQ(Field(oid::kText, "a\"b\n"), R"("a\"b\n")");
  EXPECT_EQ(Field(oid::kText, "\xff\x01"), R"("\\xff01")");
  EXPECT_EQ(Field(Column(oid::kBytea), Binary(std::string_view("\0\xAB", 2))), R"("\\x00ab")");
  // A type that nobody here knows, sent in its own form.
  EXPECT_EQ(Field(Column(99999), Binary("ab")), R"("\\x6162")");
}

TEST(FieldTest, JsonIsInlineAndAnObjectWhereTheFieldNeedsOne) {
  EXPECT_EQ(Field(oid::kJsonb, R"({"a": 1.50})"), R"({"a": 1.50})");
  EXPECT_EQ(Field(oid::kJsonb, "[1]"), R"({"_json":[1]})");
  EXPECT_EQ(Field(oid::kJsonb, "5"), R"({"_json":5})");
  EXPECT_EQ(Field(Column(oid::kJsonb), Text("[1]"), {{"type", "object"}, {"enabled", false}}),
            "[1]");
  EXPECT_EQ(Field(Column(oid::kJsonb), Text("5"), {{"type", "keyword"}}), "5");
}

TEST(FieldTest, ArraysAreLists) {
  EXPECT_EQ(Field(1007, "{1,2,NULL}"), "[1,2,null]");
  EXPECT_EQ(Field(1007, "{}"), "[]");
  EXPECT_EQ(Field(1007, "{{1,2},{3,4}}"), "[[1,2],[3,4]]");
  EXPECT_EQ(Field(1007, "[2:3]={1,2}"), "[1,2]");
  EXPECT_EQ(Field(1009, R"({"a,b","c\"d","NULL",NULL,""})"), R"(["a,b","c\"d","NULL",null,""])");
  EXPECT_EQ(Field(1182, "{2026-01-31,infinity}"), R"(["2026-01-31","infinity"])");
  EXPECT_EQ(Field(1007, "{1,"), R"("\\x7b312c")");  // Malformed, and all the same not lost.
  using std::string_view_literals::operator""sv;
  const auto binary =
      "\0\0\0\1\0\0\0\1\0\0\0\x17\0\0\0\2\0\0\0\1\0\0\0\4\0\0\0\7\xff\xff\xff\xff"sv;
  EXPECT_EQ(Field(Column(1007), Binary(binary)), "[7,null]");
}

TEST(FieldTest, RangesAreBounds) {
  EXPECT_EQ(Field(3904, "[1,5)"), R"({"gte":1,"lt":5})");
  EXPECT_EQ(Field(3904, "(,5]"), R"({"lte":5})");
  EXPECT_EQ(Field(3904, "(,)"), "{}");
  EXPECT_EQ(Field(3904, "empty"), "[]");
  EXPECT_EQ(Field(3908, R"(["2026-01-31 12:00:00",infinity))"),
            R"({"gte":"2026-01-31T12:00:00","lt":"infinity"})");
  EXPECT_EQ(Field(4451, "{[1,2),[5,8)}"), R"([{"gte":1,"lt":2},{"gte":5,"lt":8}])");
  EXPECT_EQ(Field(4451, "{}"), "[]");
  using std::string_view_literals::operator""sv;
  EXPECT_EQ(Field(Column(3904), Binary("\x02\0\0\0\4\0\0\0\1\0\0\0\4\0\0\0\5"sv)),
            R"({"gte":1,"lt":5})");
}

TEST(FieldTest, PlacesAndVectorsWhereTheyAreAskedFor) {
  EXPECT_EQ(Field(Column(oid::kPoint), Text("(13.4,52.5)"), {{"type", "geo_point"}}),
            R"({"lat":52.5,"lon":13.4})");
  EXPECT_EQ(Field(Column(oid::kPoint), Text("(13.4,52.5)")), "\"(13.4,52.5)\"");
  EXPECT_EQ(Field(Column(70000, "public.vector"), Text("[1,2.5]")), "[1,2.5]");
  schemas::Column vector = Column(70000, "vector");
  vector.type_modifier = 3;
  const auto mapping = [&](SearchProduct product) {
    return MapColumn(vector, {}, product, nullptr).mapping.dump();
  };
  EXPECT_EQ(mapping({false, 2, 19, true}), R"({"dimension":3,"type":"knn_vector"})");
  EXPECT_EQ(mapping({true, 8, 0, false}), R"({"dims":3,"type":"dense_vector"})");
  EXPECT_EQ(mapping({true, 7, 10, false, false}), R"({"index":false,"type":"float"})");
}

TEST(FieldTest, GeometriesWhereTheirReferenceSystemIsTheIndexs) {
  const std::string point = "0101000020E6100000000000000000F03F0000000000000040";
  const auto shape = [](int srid, int type) {
    schemas::Column column = Column(70000, "public.geometry");
    if (srid != 0) column.type_modifier = (srid << 8) | (type << 2);
    return column;
  };
  EXPECT_EQ(Field(shape(4326, 1), Text(point)), R"({"lat":2,"lon":1})");
  EXPECT_EQ(Field(shape(4326, 0), Text(point)), R"({"type":"Point","coordinates":[1,2]})");
  // Not known, unless somebody says so; in binary, too.
  EXPECT_EQ(Field(shape(0, 0), Text(point)), '"' + point + '"');
  using std::string_view_literals::operator""sv;
  EXPECT_EQ(Field(shape(0, 0), Binary("\1\1\0\0\0\0\0\0\0\0\0\xF0\x3F\0\0\0\0\0\0\0\x40"sv),
                  {{"type", "geo_shape"}}),
            R"({"type":"Point","coordinates":[1,2]})");
  EXPECT_EQ(Field(shape(3857, 1), Text(point)), '"' + point + '"');
  EXPECT_EQ(MapColumn(shape(3857, 1), {}, {}, nullptr).mapping["type"], "keyword");
  EXPECT_EQ(MapColumn(shape(4326, 3), {}, {}, nullptr).mapping["type"], "geo_shape");
  EXPECT_EQ(MapColumn(Column(70000, "public.geography"), {}, {}, nullptr).mapping["type"],
            "geo_shape");
  // What check says.
  EXPECT_EQ(*CheckGeoColumn(shape(4326, 1), nullptr), "");
  EXPECT_THAT(*CheckGeoColumn(shape(0, 1), nullptr), testing::HasSubstr("names no SRID"));
  EXPECT_THAT(*CheckGeoColumn(shape(3857, 1), nullptr), testing::HasSubstr("ST_Transform"));
  EXPECT_EQ(CheckGeoColumn(shape(3857, 1), {{"type", "geo_shape"}}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(MappingTest, FollowsTheTypeAndTheServer) {
  EXPECT_EQ(Mapping(oid::kInt2)["type"], "long");
  EXPECT_EQ(Mapping(1007)["type"], "long");
  EXPECT_EQ(Mapping(3912)["type"], "date_range");
  EXPECT_EQ(Mapping(oid::kText)["fields"]["keyword"]["type"], "keyword");
  EXPECT_EQ(Mapping(oid::kUuid)["type"], "keyword");
  EXPECT_EQ(Mapping(oid::kNumeric)["ignore_malformed"], true);
  EXPECT_EQ(Mapping(oid::kJsonb)["type"], "flat_object");
  EXPECT_EQ(Mapping(oid::kJsonb, {true, 8, 1, false})["type"], "flattened");
  EXPECT_EQ(Mapping(oid::kJsonb, {false, 1, 3, false})["enabled"], false);
}

TEST(DocumentTest, TakesUnchangedValuesFromTheDocumentByteForByte) {
  schemas::TableSchema schema;
  schema.columns = {Column(oid::kInt4), Column(oid::kNumeric), Column(oid::kText)};
  schema.columns[0].name = "id";
  schema.columns[1].name = "price";
  schema.columns[2].name = "note";
  const std::vector<FieldMapping> mappings = {MapColumn(schema.columns[0], {}, {}, nullptr),
                                              MapColumn(schema.columns[1], {}, {}, nullptr),
                                              MapColumn(schema.columns[2], {}, {}, nullptr)};
  const auto plan = MakeDocumentPlan(schema, {}, mappings);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const Value unchanged{nullptr, 0, ValueKind::kUnchanged};
  const std::vector<Value> values = {Text("1"), unchanged, unchanged};
  std::string out;
  AppendDocument(*plan, values,
                 R"({"id":1,"price":12345678901234567890.123456789,"note":"a\n\"b\""})", out);
  EXPECT_EQ(out, R"({"id":1,"price":12345678901234567890.123456789,"note":"a\n\"b\""})");
  schema.columns[2].name = "pri.ce";
  schema.columns[1].name = "pri_ce";
  const auto collision = MakeDocumentPlan(schema, {}, mappings);
  EXPECT_THAT(std::string(base::Message(collision.status())), HasSubstr("pri.ce"));
}

}  // namespace
}  // namespace pgflow::sinks
