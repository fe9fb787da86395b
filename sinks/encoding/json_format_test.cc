#include "sinks/encoding/json_format.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "engine/testing/event_builder.h"
#include "sinks/encoding/event_encoder.h"
#include "sinks/encoding/json_value.h"

namespace pgflow::sinks {
namespace {

using engine::Batch;
using engine::EventBuilder;

std::vector<std::string> Encode(EventEncoder& encoder, Batch& batch) {
  std::vector<std::string> lines;
  encoder.StartBatch();
  const std::span<const engine::ChangeEvent> events = *batch.Events();
  for (const engine::ChangeEvent& event : events) {
    const auto messages = encoder.Encode(batch, event);
    EXPECT_TRUE(messages.ok()) << messages.status();
    EXPECT_EQ(messages->size(), 1U);
    const std::string line((*messages)[0].value);
    EXPECT_FALSE(nlohmann::json::parse(line, nullptr, false).is_discarded()) << line;
    lines.push_back(line);
  }
  return lines;
}

std::unique_ptr<EventEncoder> JsonEncoder() { return *EventEncoder::Make({}, {}); }

// Without position and transaction.
std::string Tail(const std::string& line) { return line.substr(line.find("\"operation\"")); }

TEST(JsonFormat, WritesWholeEvents) {
  EventBuilder builder;
  builder.Table("shop.items (id int4 key, name text, note text)");
  Batch batch =
      builder.StreamBatch("begin xid=7 lsn=0/500\n insert items 1 'a \"b\"' null\n commit");
  const auto encoder = JsonEncoder();
  const std::string line = Encode(*encoder, batch)[0];
  std::string time;
  const nlohmann::json json = nlohmann::json::parse(line);
  time = json["transaction"]["commit_time"];
  EXPECT_EQ(line, R"({"position":"0/500:0","transaction":{"xid":7,"commit_lsn":"0/500",)"
                  R"("commit_time":")" +
                      time +
                      R"(","ordinal":0},"operation":"insert",)"
                      R"("schema":"shop","table":"items","key":{"id":1},"before":null,)"
                      R"("after":{"id":1,"name":"a \"b\"","note":null}})");
  EXPECT_EQ(time.size(), 27U);
}

TEST(JsonFormat, ShowsUpdatesDeletesAndTruncates) {
  EventBuilder builder;
  builder.Table("t (id int4 key, name text, note text)");
  Batch batch = builder.StreamBatch(R"(
      begin
      update t 1 pear unchanged
      update t old(1) 2 pear x
      delete t 2
      truncate t cascade
      commit)");
  const auto encoder = JsonEncoder();
  const std::vector<std::string> lines = Encode(*encoder, batch);
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(Tail(lines[0]),
            R"("operation":"update","schema":"public","table":"t","key":{"id":1},)"
            R"("before":null,"after":{"id":1,"name":"pear"},"unchanged":["note"]})");
  EXPECT_EQ(Tail(lines[1]), R"("operation":"update","schema":"public","table":"t","key":{"id":2},)"
                            R"("before":{"id":1},"after":{"id":2,"name":"pear","note":"x"},)"
                            R"("unchanged":[]})");
  EXPECT_EQ(Tail(lines[2]), R"("operation":"delete","schema":"public","table":"t","key":{"id":2},)"
                            R"("before":{"id":2},"after":null})");
  EXPECT_EQ(Tail(lines[3]), R"("operation":"truncate","schema":"public","table":"t",)"
                            R"("cascade":true,"restart_identity":false})");
  EXPECT_NE(lines[3].find("\"ordinal\":3}"), std::string::npos);
}

TEST(JsonFormat, TakesUnchangedValuesFromAFullBeforeImage) {
  EventBuilder builder;
  builder.Table("t (id int4 key, note text) full");
  Batch batch = builder.StreamBatch("begin\n update t full(1 long) 2 unchanged\n commit");
  const auto encoder = JsonEncoder();
  EXPECT_EQ(Tail(Encode(*encoder, batch)[0]),
            R"("operation":"update","schema":"public","table":"t","key":{"id":2},)"
            R"("before":{"id":1,"note":"long"},"after":{"id":2,"note":"long"},"unchanged":[]})");
}

TEST(JsonFormat, WritesSnapshotRows) {
  EventBuilder builder;
  builder.Table("t (id int8 key, name text, ok bool)");
  for (const auto format : {engine::CopyFormat::kText, engine::CopyFormat::kBinary}) {
    Batch batch = builder.Snapshot("t", "9007199254740993 'a\tb' t\n -2 null f", format);
    batch.set_snapshot_lsn(postgres::Lsn(0x5A0));
    const auto encoder = JsonEncoder();
    const std::vector<std::string> lines = Encode(*encoder, batch);
    EXPECT_EQ(lines[0],
              R"({"position":"0/5A0:0","transaction":null,"operation":"read","schema":"public",)"
              R"("table":"t","key":{"id":9007199254740993},"before":null,)"
              R"("after":{"id":9007199254740993,"name":"a\tb","ok":true}})");
    EXPECT_NE(lines[1].find(R"("after":{"id":-2,"name":null,"ok":false})"), std::string::npos);
  }
}

schemas::Column MakeColumn(std::string name, postgres::Oid type) {
  schemas::Column column;
  column.name = std::move(name);
  column.type = type;
  return column;
}

TEST(JsonFormat, SeesAnotherSchemaAtTheSameAddress) {
  const auto encoder = JsonEncoder();
  schemas::TableSchema schema;
  schema.table = {"public", "t"};
  schema.columns = {MakeColumn("a", 23)};
  const std::string bytes = std::string("\0\1t\0\0\0\1", 7) + "7";
  engine::ChangeEvent event;
  event.schema = &schema;
  event.after = schemas::RowView::Tuple(bytes);
  Batch batch(nullptr, {event}, {engine::TransactionSpan()});
  EXPECT_NE(Encode(*encoder, batch)[0].find(R"("after":{"a":7}})"), std::string::npos);
  schema.columns[0] = MakeColumn("b", 25);
  EXPECT_NE(Encode(*encoder, batch)[0].find(R"("after":{"b":"7"}})"), std::string::npos);
  schema.columns.push_back(MakeColumn("c", 25));
  encoder->StartBatch();
  EXPECT_EQ(encoder->Encode(batch, event).status().code(), absl::StatusCode::kDataLoss);
}

std::string Json(postgres::Oid type, schemas::ValueKind kind, std::string_view bytes) {
  std::string out;
  AppendJsonValue({bytes.data(), static_cast<uint32_t>(bytes.size()), kind}, FindTypeText(type),
                  out);
  return out;
}

TEST(JsonFormat, ChoosesTheFormOfAValue) {
  constexpr auto kText = schemas::ValueKind::kText;
  constexpr auto kBinary = schemas::ValueKind::kBinary;
  EXPECT_EQ(Json(1700, kText, "1.500"), "1.500");
  EXPECT_EQ(Json(1700, kText, "NaN"), R"("NaN")");
  EXPECT_EQ(Json(1700, kBinary, std::string("\0\0\0\0\xC0\0\0\0", 8)), R"("NaN")");
  EXPECT_EQ(Json(701, kText, "-1e+300"), "-1e+300");
  EXPECT_EQ(Json(701, kBinary, std::string("\xFF\xF0\0\0\0\0\0\0", 8)), R"("-Infinity")");
  EXPECT_EQ(Json(16, kText, "t"), "true");
  EXPECT_EQ(Json(3802, kBinary, "\x01{\"a\": [1.0]}"), R"({"a": [1.0]})");
  EXPECT_EQ(Json(114, kText, "[1,\n2]"), "[1, 2]");
  EXPECT_EQ(Json(17, kBinary, std::string("\0\xFF", 2)), R"("\\x00ff")");
  EXPECT_EQ(Json(25, kBinary, "\xFF"), R"({"binary":"/w=="})");
  EXPECT_EQ(Json(23, kBinary, "abc"), R"({"binary":"YWJj"})");
  EXPECT_EQ(Json(2950, kBinary, "abc"), R"({"binary":"YWJj"})");
  EXPECT_EQ(Json(20'000, kBinary, "abc"), R"({"binary":"YWJj"})");
  EXPECT_EQ(Json(20'000, kText, "abc"), R"("abc")");
  EXPECT_EQ(Json(20'000, schemas::ValueKind::kNull, ""), "null");
}

}  // namespace
}  // namespace pgflow::sinks
