#include "sources/kafka/json_decoder.h"

#include <charconv>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"
#include "sinks/encoding/type_text.h"
#include "sources/kafka/json_members.h"

namespace pgflow::sources {
namespace {

using absl::StatusCode;
using engine::BeforeImage;
using engine::Operation;
using schemas::Column;
using schemas::ReplicaIdentity;
using schemas::TableSchema;

// A table with more versions than this is unheard of; the texts are long.
constexpr size_t kSchemasMax = 1024;

absl::Status Malformed(std::string_view what) {
  return base::MakeStatus(StatusCode::kDataLoss,
                          "{}: this is no message that pgflow's sink wrote in the format json",
                          what);
}

template <typename Number>
bool ReadNumber(std::string_view text, Number& number) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

bool ReadText(std::string_view value, std::string& text) {
  text.clear();
  return AppendUnquoted(value, text);
}

std::optional<ReplicaIdentity> IdentityOf(std::string_view name) {
  if (name == "\"default\"") return ReplicaIdentity::kDefault;
  if (name == "\"index\"") return ReplicaIdentity::kIndex;
  if (name == "\"full\"") return ReplicaIdentity::kFull;
  if (name == "\"nothing\"") return ReplicaIdentity::kNothing;
  return std::nullopt;
}

std::optional<Operation> OperationOf(std::string_view name) {
  // A row of a snapshot is one more row for whoever reads the log.
  if (name == "\"read\"" || name == "\"insert\"") return Operation::kInsert;
  if (name == "\"update\"") return Operation::kUpdate;
  if (name == "\"delete\"") return Operation::kDelete;
  if (name == "\"truncate\"") return Operation::kTruncate;
  if (name == "\"schema_change\"") return Operation::kSchemaChange;
  return std::nullopt;
}

bool ReadColumn(std::string_view text, Column& column) {
  JsonMembers members(text);
  bool good = true;
  while (members.Next()) {
    const std::string_view name = members.name();
    const std::string_view value = members.value();
    if (name == "name") {
      good &= ReadText(value, column.name);
    } else if (name == "type") {
      good &= ReadText(value, column.type_name);
    } else if (name == "oid") {
      good &= ReadNumber(value, column.type);
    } else if (name == "wire") {
      good &= ReadNumber(value, column.wire_type);
    } else if (name == "modifier") {
      good &= ReadNumber(value, column.type_modifier);
    } else if (name == "identity") {
      column.identity = value == "true";
    } else if (name == "primary_key") {
      good &= ReadNumber(value, column.primary_key);
    }
  }
  return good && members.ok() && !column.name.empty();
}

bool ReadRelation(std::string_view text, TableSchema& schema) {
  JsonMembers members(text);
  bool good = true;
  while (good && members.Next()) {
    if (members.name() == "identity") {
      const std::optional<ReplicaIdentity> identity = IdentityOf(members.value());
      good = identity.has_value();
      schema.replica_identity = identity.value_or(ReplicaIdentity::kDefault);
    } else if (members.name() == "columns") {
      JsonItems items(members.value());
      while (good && items.Next()) {
        Column& column = schema.columns.emplace_back();
        column.attribute_number = static_cast<int16_t>(schema.columns.size());
        good = ReadColumn(items.value(), column);
      }
      good &= items.ok();
    }
  }
  return good && members.ok();
}

void AppendText(std::string_view text, char kind, std::string& tuple) {
  tuple.push_back(kind);
  base::AppendBigEndian(tuple, static_cast<int32_t>(text.size()));
  tuple.append(text);
}

}  // namespace

absl::Status JsonDecoder::Split(std::string_view value, Members& members) {
  JsonMembers reader(value);
  const std::pair<std::string_view, std::string_view*> places[] = {
      {"position", &members.position},
      {"transaction", &members.transaction},
      {"operation", &members.operation},
      {"schema", &members.schema},
      {"table", &members.table},
      {"relation", &members.relation},
      {"before", &members.before},
      {"after", &members.after},
      {"unchanged", &members.unchanged},
      {"restart_identity", &members.restart_identity},
      {"schema_change", &members.schema_change},
  };
  while (reader.Next()) {
    for (const auto& [name, place] : places) {
      if (name == reader.name()) *place = reader.value();
    }
    if (reader.name() == "key_changed") members.key_changed = reader.value() == "true";
    if (reader.name() == "catch_up") members.catch_up = reader.value() == "true";
  }
  if (!reader.ok()) return Malformed("not a JSON object");
  return absl::OkStatus();
}

absl::Status JsonDecoder::Decode(std::string_view /*key*/, std::string_view value,
                                 DecodedMessage& out) {
  out.Clear();
  Members members;
  PGFLOW_RETURN_IF_ERROR(Split(value, members));
  if (!ReadText(members.position, out.position)) return Malformed("no `position`");
  const std::optional<Operation> operation = OperationOf(members.operation);
  if (!operation.has_value()) return Malformed("no `operation` that is known");
  out.operation = *operation;
  PGFLOW_RETURN_IF_ERROR(DecodeTransaction(members.transaction, out));
  if (out.operation == Operation::kSchemaChange) {
    out.kind = DecodedMessage::Kind::kSchemaChange;
    out.text = members.schema_change;
    return absl::OkStatus();
  }
  if (members.relation.empty()) {
    return base::MakeStatus(StatusCode::kFailedPrecondition,
                            "the message does not say what its table looks like: set "
                            "encoding.relations: true in the sink that writes the topic");
  }
  PGFLOW_ASSIGN_OR_RETURN(out.schema, SchemaOf(members));
  out.catch_up = members.catch_up;
  out.key_changed = members.key_changed;
  if (out.operation == Operation::kTruncate) {
    out.restart_identity = members.restart_identity == "true";
    return absl::OkStatus();
  }
  const absl::Status rows = DecodeRows(members, out);
  return rows.ok() ? rows : base::Annotate(rows, "table " + out.schema->table.ToString());
}

absl::Status JsonDecoder::DecodeTransaction(std::string_view transaction, DecodedMessage& out) {
  if (transaction == "null") return absl::OkStatus();
  JsonMembers members(transaction);
  while (members.Next()) {
    if (members.name() == "xid") {
      if (!ReadNumber(members.value(), out.xid)) return Malformed("a `transaction` without xid");
    } else if (members.name() == "commit_time") {
      // The messages of a transaction come one after the other.
      if (members.value() != commit_time_text_) {
        std::string time;
        std::string error;
        if (!AppendUnquoted(members.value(), time) ||
            !absl::ParseTime(absl::RFC3339_full, time, &commit_time_, &error)) {
          return Malformed("a `commit_time` that is none");
        }
        commit_time_text_ = members.value();
      }
      out.commit_time = commit_time_;
    }
  }
  return members.ok() ? absl::OkStatus() : Malformed("no `transaction`");
}

absl::StatusOr<schemas::TableSchemaPtr> JsonDecoder::SchemaOf(const Members& members) {
  schema_text_.clear();
  schema_text_.append(members.schema).append(members.table).append(members.relation);
  if (last_schema_ != nullptr && schema_text_ == last_schema_text_) return last_schema_;
  auto found = schemas_.find(schema_text_);
  if (found == schemas_.end()) {
    auto schema = std::make_shared<TableSchema>();
    if (!ReadText(members.schema, schema->table.schema) ||
        !ReadText(members.table, schema->table.name) || !ReadRelation(members.relation, *schema)) {
      return Malformed("no `schema`, `table` and `relation`");
    }
    schema->version = schemas_.size();
    if (schemas_.size() >= kSchemasMax) schemas_.clear();
    found = schemas_.emplace(schema_text_, std::move(schema)).first;
  }
  last_schema_text_ = schema_text_;
  last_schema_ = found->second;
  return last_schema_;
}

absl::Status JsonDecoder::DecodeRows(const Members& members, DecodedMessage& out) {
  const TableSchema& schema = *out.schema;
  const bool full = schema.replica_identity == ReplicaIdentity::kFull;
  unchanged_.assign(schema.columns.size(), false);
  if (IsJsonObject(members.before)) {
    out.before_image = full ? BeforeImage::kFull : BeforeImage::kKey;
    PGFLOW_RETURN_IF_ERROR(AppendTuple(schema, members.before, true, out.before));
  }
  if (!members.unchanged.empty()) {
    JsonItems items(members.unchanged);
    while (items.Next()) {
      const std::optional<size_t> column =
          ReadText(items.value(), scratch_) ? schema.FindColumn(scratch_) : std::nullopt;
      if (!column.has_value()) return Malformed("`unchanged` names a column that is not there");
      unchanged_[*column] = out.has_unchanged = true;
    }
    if (!items.ok()) return Malformed("`unchanged` is no list");
  }
  if (IsJsonObject(members.after)) {
    PGFLOW_RETURN_IF_ERROR(AppendTuple(schema, members.after, false, out.after));
  }
  const bool has_after = out.operation != Operation::kDelete;
  if (has_after != !out.after.empty()) return Malformed("`after` does not fit the operation");
  if (!has_after && out.before.empty()) {
    return base::MakeStatus(StatusCode::kFailedPrecondition,
                            "a DELETE came without the row's key: its source has no replica "
                            "identity for the table");
  }
  return absl::OkStatus();
}

absl::Status JsonDecoder::AppendTuple(const TableSchema& schema, std::string_view row, bool by_key,
                                      std::string& tuple) {
  values_.assign(schema.columns.size(), std::string_view());
  JsonMembers members(row);
  size_t next = 0;
  while (members.Next()) {
    // They come in the order of the columns, some left out.
    while (next < schema.columns.size() && schema.columns[next].name != members.name()) ++next;
    if (next == schema.columns.size()) {
      const std::optional<size_t> column = schema.FindColumn(members.name());
      if (!column.has_value()) {
        return Malformed(fmt::format("a row has '{}', which its relation lacks", members.name()));
      }
      next = *column;
    }
    values_[next++] = members.value();
  }
  if (!members.ok()) return Malformed("a row that is no object");
  base::AppendBigEndian(tuple, static_cast<int16_t>(values_.size()));
  for (size_t i = 0; i < values_.size(); ++i) {
    const Column& column = schema.columns[i];
    if (!values_[i].empty()) {
      PGFLOW_RETURN_IF_ERROR(AppendValue(column, values_[i], tuple));
    } else if (by_key) {
      tuple.push_back('n');
    } else if (unchanged_[i]) {
      tuple.push_back('u');
    } else {
      return Malformed(fmt::format("a row without '{}'", column.name));
    }
  }
  return absl::OkStatus();
}

absl::Status JsonDecoder::AppendValue(const Column& column, std::string_view value,
                                      std::string& tuple) {
  switch (value.front()) {
    case 'n':
      tuple.push_back('n');
      return absl::OkStatus();
    case '"':
      if (!ReadText(value, scratch_)) break;
      AppendText(scratch_, 't', tuple);
      return absl::OkStatus();
    case 't':
    case 'f':
      AppendText(value.substr(0, 1), 't', tuple);
      return absl::OkStatus();
    case '{': {
      JsonMembers members(value);
      std::string base64;
      scratch_.clear();
      if (!members.Next() || members.name() != "binary" ||
          !AppendUnquoted(members.value(), base64) || !AppendFromBase64(base64, scratch_)) {
        break;
      }
      // Text that is not UTF-8; else bytes whose type the writer did not know, as it got them.
      AppendText(scratch_, sinks::FindTypeText(column) != nullptr ? 't' : 'b', tuple);
      return absl::OkStatus();
    }
    case '[':
      break;
    default:
      AppendText(value, 't', tuple);
      return absl::OkStatus();
  }
  return Malformed(fmt::format("column '{}' has a value that is none", column.name));
}

}  // namespace pgflow::sources
