#include "sources/kafka/debezium_decoder.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/bytes.h"
#include "base/crypto/name_uuid.h"
#include "base/status.h"
#include "schemas/type_modifier.h"
#include "sinks/encoding/json_string.h"
#include "sources/kafka/json_members.h"

namespace pgflow::sources {
namespace {

using absl::StatusCode;
using engine::BeforeImage;
using engine::Operation;

constexpr size_t kTablesMax = 1024;

absl::Status Malformed(std::string_view what) {
  return base::MakeStatus(StatusCode::kDataLoss, "{}: this is no envelope of Debezium", what);
}

// {"schema":...,"payload":...}
struct Parts {
  std::string_view schema;
  std::string_view payload;
  bool good = false;
};

Parts Split(std::string_view text) {
  Parts parts;
  JsonMembers members(text);
  while (members.Next()) {
    if (members.name() == "schema") parts.schema = members.value();
    if (members.name() == "payload") parts.payload = members.value();
  }
  parts.good = members.ok() && IsJsonObject(parts.schema) && IsJsonObject(parts.payload);
  return parts;
}

// The fields of a struct's schema.
std::string_view FieldsOf(std::string_view schema) {
  JsonMembers members(schema);
  while (members.Next()) {
    if (members.name() == "fields") return members.value();
  }
  return {};
}

std::string NameOf(std::string_view field) {
  std::string name;
  JsonMembers members(field);
  while (members.Next()) {
    if (members.name() == "field" && !AppendUnquoted(members.value(), name)) name.clear();
  }
  return name;
}

// The fields of `before` or `after`, in an envelope's schema.
std::string_view RowFieldsOf(std::string_view schema) {
  JsonItems fields(FieldsOf(schema));
  while (fields.Next()) {
    const std::string name = NameOf(fields.value());
    if (name == "after" || name == "before") return FieldsOf(fields.value());
  }
  return {};
}

absl::StatusOr<Operation> OperationOf(std::string_view op) {
  if (op == "\"c\"" || op == "\"r\"") return Operation::kInsert;
  if (op == "\"u\"") return Operation::kUpdate;
  if (op == "\"d\"") return Operation::kDelete;
  if (op == "\"t\"") return Operation::kTruncate;
  if (op == "\"m\"") return Operation::kSchemaChange;
  return Malformed("no `op` that is known");
}

}  // namespace

DebeziumDecoder::DebeziumDecoder(const std::string& unavailable_value) {
  if (unavailable_value.empty()) return;
  std::string text;
  sinks::AppendJsonString(unavailable_value, text);
  std::string bytes = "\"";
  sinks::AppendBase64(unavailable_value, bytes);
  bytes.push_back('"');
  // In arrays of numbers and dates it is the codes of its bytes, which Java counts from -128.
  std::string codes;
  for (const char byte : unavailable_value) {
    codes += fmt::format("{}{}", codes.empty() ? "[" : ",", static_cast<int>(byte));
  }
  std::string object;
  sinks::AppendJsonString(fmt::format("{{{0}:{0}}}", text), object);  // hstore
  placeholders_ = {text,
                   bytes,
                   object,
                   codes + "]",
                   "[" + text + "]",
                   "[" + bytes + "]",
                   fmt::format("[\"{}\"]", base::NameUuid(unavailable_value))};
}

bool DebeziumDecoder::IsPlaceholder(std::string_view value) const {
  return std::ranges::find(placeholders_, value) != placeholders_.end();
}

absl::StatusOr<DebeziumDecoder::Envelope> DebeziumDecoder::Open(std::string_view payload) {
  Envelope envelope;
  const std::pair<std::string_view, std::string_view*> places[] = {{"before", &envelope.before},
                                                                   {"after", &envelope.after},
                                                                   {"source", &envelope.source},
                                                                   {"op", &envelope.op},
                                                                   {"message", &envelope.message}};
  JsonMembers members(payload);
  while (members.Next()) {
    for (const auto& [name, place] : places) {
      if (name == members.name()) *place = members.value();
    }
  }
  if (!members.ok() || envelope.op.empty()) return Malformed("no `op`");
  return envelope;
}

absl::Status DebeziumDecoder::ReadSource(std::string_view source, schemas::TableName& table,
                                         DecodedMessage& out) {
  JsonMembers members(source);
  const auto number = [&members] {
    int64_t value = 0;
    const std::string_view text = members.value();
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  };
  while (members.Next()) {
    if (members.name() == "schema") {
      if (!AppendUnquoted(members.value(), table.schema)) return Malformed("no `source.schema`");
    } else if (members.name() == "table") {
      if (!AppendUnquoted(members.value(), table.name)) return Malformed("no `source.table`");
    } else if (members.name() == "txId") {
      out.xid = static_cast<postgres::Xid>(number());
    } else if (members.name() == "lsn") {
      out.position = members.value();
    } else if (members.name() == "ts_ms") {
      out.commit_time = absl::FromUnixMillis(number());
    }
  }
  return members.ok() ? absl::OkStatus() : Malformed("no `source`");
}

absl::Status DebeziumDecoder::Decode(std::string_view key, std::string_view value,
                                     DecodedMessage& out) {
  out.Clear();
  const Parts parts = Split(value);
  if (!parts.good) {
    return base::MakeStatus(
        StatusCode::kFailedPrecondition,
        "the message has no `schema` and `payload`, and without a schema its values mean many "
        "things: write the topic with value.converter.schemas.enable=true and "
        "key.converter.schemas.enable=true (here: encoding.debezium.schemas: true)");
  }
  PGFLOW_ASSIGN_OR_RETURN(const Envelope envelope, Open(parts.payload));
  PGFLOW_ASSIGN_OR_RETURN(out.operation, OperationOf(envelope.op));
  if (out.operation == Operation::kSchemaChange) {
    out.kind = DecodedMessage::Kind::kSchemaChange;
    out.text = envelope.message;
    return absl::OkStatus();
  }
  schemas::TableName name;
  PGFLOW_RETURN_IF_ERROR(ReadSource(envelope.source, name, out));
  PGFLOW_ASSIGN_OR_RETURN(const Table* table, TableOf(name, parts.schema, key));
  out.schema = table->schema;
  if (out.operation == Operation::kTruncate) return absl::OkStatus();
  const bool whole = table->schema->replica_identity == schemas::ReplicaIdentity::kFull;
  if (IsJsonObject(envelope.before)) {
    out.before_image = whole ? BeforeImage::kFull : BeforeImage::kKey;
    PGFLOW_RETURN_IF_ERROR(AppendTuple(*table, envelope.before, false, out, out.before));
  }
  const bool has_after = out.operation != Operation::kDelete;
  if (has_after && IsJsonObject(envelope.after)) {
    PGFLOW_RETURN_IF_ERROR(AppendTuple(*table, envelope.after, true, out, out.after));
  }
  if (has_after != !out.after.empty()) return Malformed("`after` does not fit `op`");
  if (!has_after && out.before.empty()) return Malformed("`before` does not fit `op`");
  // The row goes on under a new key, and part of it is under the old one.
  out.key_changed = out.has_unchanged && out.operation == Operation::kInsert;
  return absl::OkStatus();
}

absl::StatusOr<const DebeziumDecoder::Table*> DebeziumDecoder::TableOf(
    const schemas::TableName& name, std::string_view schema, std::string_view key) {
  const Parts key_parts = key.empty() ? Parts() : Split(key);
  if (!key.empty() && !key_parts.good) {
    return base::MakeStatus(StatusCode::kFailedPrecondition,
                            "the key has no `schema` and `payload`: write the topic with "
                            "key.converter.schemas.enable=true");
  }
  table_text_.assign(name.schema).append("\n").append(name.name).append("\n");
  table_text_.append(schema).append("\n").append(key_parts.schema);
  if (const auto found = tables_.find(table_text_); found != tables_.end()) return &found->second;

  Table table;
  auto made = std::make_shared<schemas::TableSchema>();
  made->table = name;
  std::vector<std::string> key_names;
  JsonItems key_fields(FieldsOf(key_parts.schema));
  while (key_fields.Next()) key_names.push_back(NameOf(key_fields.value()));
  if (key_names.empty()) made->replica_identity = schemas::ReplicaIdentity::kFull;
  JsonItems fields(RowFieldsOf(schema));
  while (fields.Next()) {
    schemas::Column& column = made->columns.emplace_back();
    column.name = NameOf(fields.value());
    column.attribute_number = static_cast<int16_t>(made->columns.size());
    PGFLOW_ASSIGN_OR_RETURN(ConnectType type, ReadConnectType(fields.value()));
    column.type = type.type;
    column.type_modifier = schemas::kModifierUnknown;
    const auto place = std::ranges::find(key_names, column.name);
    column.identity = place != key_names.end();
    if (column.identity) {
      column.primary_key = static_cast<int16_t>(place - key_names.begin() + 1);
    }
    table.types.push_back(std::move(type));
  }
  if (!fields.ok() || made->columns.empty()) return Malformed("a `schema` without columns");
  table.schema = std::move(made);
  if (tables_.size() >= kTablesMax) tables_.clear();
  return &tables_.emplace(table_text_, std::move(table)).first->second;
}

absl::Status DebeziumDecoder::AppendTuple(const Table& table, std::string_view row, bool whole,
                                          DecodedMessage& out, std::string& tuple) const {
  const schemas::TableSchema& schema = *table.schema;
  std::vector<std::string_view> values(schema.columns.size());
  JsonMembers members(row);
  while (members.Next()) {
    const std::optional<size_t> column = schema.FindColumn(members.name());
    if (!column.has_value()) return Malformed("a row has a field that its schema lacks");
    values[*column] = members.value();
  }
  if (!members.ok()) return Malformed("a row that is no object");
  base::AppendBigEndian(tuple, static_cast<int16_t>(values.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].empty() || IsPlaceholder(values[i])) {
      // The old row has it as much as the new one lacks it.
      tuple.push_back(whole ? 'u' : 'n');
      out.has_unchanged |= whole;
      continue;
    }
    if (values[i] == "null") {
      tuple.push_back('n');
      continue;
    }
    std::string text;
    const absl::Status status = AppendConnectText(table.types[i], values[i], text);
    if (!status.ok()) {
      return base::Annotate(status, fmt::format("table {}, column {}", schema.table.ToString(),
                                                schema.columns[i].name));
    }
    tuple.push_back('t');
    base::AppendBigEndian(tuple, static_cast<int32_t>(text.size()));
    tuple.append(text);
  }
  return absl::OkStatus();
}

}  // namespace pgflow::sources
