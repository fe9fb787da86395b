#include "engine/runtime/dead_letter.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <utility>

#include <absl/strings/escaping.h>
#include <absl/time/clock.h>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/crypto/digest.h"
#include "base/status.h"
#include "postgres/types/sql_state.h"

namespace pgflow::engine {
namespace {

using Json = nlohmann::json;

std::string ToHex(std::string_view bytes) {
  return absl::BytesToHexString({bytes.data(), bytes.size()});
}

// JSON strings are UTF-8; text of a SQL_ASCII database need not be.
bool FitsJson(std::string_view text) {
  try {
    return !Json(std::string(text)).dump().empty();
  } catch (const Json::exception&) {
    return false;
  }
}

// {"t": text} | {"x": hex of text that is not UTF-8} | {"b": hex of the binary form} |
// {"u": true} unchanged | null.
Json EncodeRow(const schemas::RowView& row) {
  if (!row.exists()) return nullptr;
  std::vector<schemas::Value> values;
  row.Decode(values);
  Json encoded = Json::array();
  for (const schemas::Value& value : values) {
    switch (value.kind) {
      case schemas::ValueKind::kNull:
        encoded.push_back(nullptr);
        break;
      case schemas::ValueKind::kUnchanged:
        encoded.push_back({{"u", true}});
        break;
      case schemas::ValueKind::kText:
        if (FitsJson(value.view())) {
          encoded.push_back({{"t", std::string(value.view())}});
        } else {
          encoded.push_back({{"x", ToHex(value.view())}});
        }
        break;
      case schemas::ValueKind::kBinary:
        encoded.push_back({{"b", ToHex(value.view())}});
        break;
    }
  }
  return encoded;
}

void DecodeRow(const Json& encoded, std::string& tuple) {
  base::AppendBigEndian<uint16_t>(tuple, static_cast<uint16_t>(encoded.size()));
  for (const Json& value : encoded) {
    if (value.is_null() || value.contains("u")) {
      tuple.push_back(value.is_null() ? 'n' : 'u');
      continue;
    }
    const std::string& kind = value.begin().key();
    std::string bytes = value.begin().value().get<std::string>();
    if (kind != "t") bytes = absl::HexStringToBytes(bytes);
    tuple.push_back(kind == "b" ? 'b' : 't');
    base::AppendBigEndian<uint32_t>(tuple, static_cast<uint32_t>(bytes.size()));
    tuple += bytes;
  }
}

Json EncodeSchema(const schemas::TableSchema& schema) {
  Json columns = Json::array();
  for (const schemas::Column& column : schema.columns) {
    columns.push_back({{"name", column.name},
                       {"type", column.type},
                       {"type_modifier", column.type_modifier},
                       {"type_name", column.type_name},
                       {"attribute_number", column.attribute_number},
                       {"identity", column.identity},
                       {"primary_key", column.primary_key},
                       {"wire_type", column.wire_type}});
  }
  return {{"schema", schema.table.schema},
          {"name", schema.table.name},
          {"oid", schema.oid},
          {"rows", static_cast<int>(schema.rows)},
          {"replica_identity", std::string(1, static_cast<char>(schema.replica_identity))},
          {"columns", std::move(columns)}};
}

schemas::TableSchemaPtr DecodeSchema(const Json& json) {
  auto schema = std::make_shared<schemas::TableSchema>();
  schema->table = {json.at("schema"), json.at("name")};
  schema->oid = json.at("oid");
  schema->rows = static_cast<schemas::RowKind>(json.value("rows", 0));  // Not of earlier versions.
  schema->replica_identity =
      static_cast<schemas::ReplicaIdentity>(json.at("replica_identity").get<std::string>().at(0));
  for (const Json& column : json.at("columns")) {
    // Files of earlier versions do not have the last two.
    schema->columns.push_back({.name = column.at("name"),
                               .type = column.at("type"),
                               .type_modifier = column.at("type_modifier"),
                               .attribute_number = column.at("attribute_number"),
                               .identity = column.at("identity"),
                               .primary_key = column.value("primary_key", int16_t{0}),
                               .type_name = column.at("type_name"),
                               .wire_type = column.value("wire_type", postgres::Oid{0})});
  }
  return schema;
}

Operation OperationOf(const std::string& name) {
  for (Operation operation : {Operation::kRead, Operation::kUpdate, Operation::kDelete,
                              Operation::kTruncate, Operation::kInsert}) {
    if (OperationName(operation) == name) return operation;
  }
  throw std::runtime_error("unknown operation " + name);
}

Position PositionOf(const std::string& text) {
  const size_t colon = text.rfind(':');
  Position position;
  position.commit_lsn = postgres::Lsn::Parse(text.substr(0, colon)).value_or(postgres::Lsn());
  if (colon != std::string::npos) {
    std::from_chars(text.data() + colon + 1, text.data() + text.size(), position.ordinal);
  }
  return position;
}

// Throws what nlohmann throws.
DeadLetter Decode(const std::string& line) {
  const Json json = Json::parse(line);
  auto chunk = std::make_shared<Chunk>();
  chunk->tables.push_back(DecodeSchema(json.at("table")));
  const Operation operation = OperationOf(json.at("operation"));
  ChangeEvent event;
  event.operation = operation == Operation::kRead ? Operation::kInsert : operation;
  event.before_image = static_cast<BeforeImage>(json.at("before_image").get<int>());
  event.catch_up = operation != Operation::kUpdate;
  event.schema = chunk->tables.front().get();
  const Position position = PositionOf(json.at("position"));
  event.ordinal = position.ordinal;
  std::string before;
  if (!json.at("before").is_null()) DecodeRow(json.at("before"), before);
  std::string after;
  if (!json.at("after").is_null()) DecodeRow(json.at("after"), after);
  chunk->bytes = before + after;
  const std::string_view bytes = chunk->bytes;
  if (!before.empty()) event.before = schemas::RowView::Tuple(bytes.substr(0, before.size()));
  if (!after.empty()) event.after = schemas::RowView::Tuple(bytes.substr(before.size()));
  TransactionSpan span;
  span.commit_lsn = position.commit_lsn;
  span.end_lsn = position.commit_lsn;
  span.xid = json.at("xid");
  span.begins = span.ends = true;
  return DeadLetter{json.at("sink"), position, json.at("error"), Batch(chunk, {event}, {span})};
}

// Spelling and hash of the named columns of a row; empty when one of them was not sent.
std::string KeyOf(const ChangeEvent& event, const schemas::RowView& row) {
  const schemas::TableSchema& schema = *event.schema;
  const bool whole = schema.replica_identity == schemas::ReplicaIdentity::kFull &&
                     std::ranges::none_of(schema.columns, [&](const schemas::Column& column) {
                       return schema.IsKey(column);
                     });
  std::vector<schemas::Value> values;
  row.Decode(values);
  std::string spelling;
  std::string bytes;
  for (size_t i = 0; i < values.size() && i < schema.columns.size(); ++i) {
    const schemas::Column& column = schema.columns[i];
    if (!whole && !schema.IsKey(column)) continue;
    if (values[i].is_unchanged()) return "";
    spelling += fmt::format("{}:{} ", column.name, static_cast<int>(values[i].kind));
    bytes += fmt::format("{}:", values[i].view().size());
    bytes += values[i].view();
  }
  if (spelling.empty()) return "";
  constexpr size_t kSpellingDigits = 16;
  constexpr size_t kDigits = 40;
  return base::Hex(base::Sha256(spelling), kSpellingDigits) + " " +
         base::Hex(base::Sha256(bytes), kDigits);
}

}  // namespace

std::string EncodeDeadLetter(const Refusal& refusal, std::string_view queue) {
  const ChangeEvent& event = refusal.event;
  Json json = {
      {"position", refusal.position.ToString()},
      {"sink", std::string(refusal.sink)},
      {"queue", std::string(queue)},
      {"operation", std::string(OperationName(event.operation))},
      {"xid", refusal.transaction == nullptr ? 0 : refusal.transaction->xid},
      {"before_image", static_cast<int>(event.before_image)},
      {"error", std::string(base::Message(refusal.error))},
      {"sqlstate", postgres::SqlStateOf(refusal.error)},
      {"rejected_at", absl::FormatTime(absl::RFC3339_full, absl::Now(), absl::UTCTimeZone())}};
  json["table"] = EncodeSchema(*event.schema);
  json["before"] = EncodeRow(event.before);
  json["after"] = EncodeRow(event.after);
  // Only names and the server's words can still be something else than UTF-8 here.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<DeadLetter> DecodeDeadLetter(const std::string& line) {
  try {
    return Decode(line);
  } catch (const std::exception& error) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument, "not a letter: {}", error.what());
  }
}

std::string WithError(const std::string& line, const absl::Status& error) {
  Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return line;
  json["error"] = std::string(base::Message(error));
  json["sqlstate"] = postgres::SqlStateOf(error);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string WithQueue(const std::string& line, std::string_view queue) {
  Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return line;
  json["queue"] = std::string(queue);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string QueueOf(const std::string& line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  const bool known = json.is_object() && json.contains("queue") && json["queue"].is_string();
  return known ? json["queue"].get<std::string>() : std::string();
}

std::vector<std::string> RowKeys(const ChangeEvent& event) {
  std::vector<std::string> keys;
  for (const schemas::RowView* row : {&event.before, &event.after}) {
    if (!row->exists()) continue;
    std::string key = KeyOf(event, *row);
    if (!key.empty() && std::ranges::find(keys, key) == keys.end()) keys.push_back(std::move(key));
  }
  return keys;
}

std::string_view SpellingOf(std::string_view key) { return key.substr(0, key.find(' ')); }

}  // namespace pgflow::engine
