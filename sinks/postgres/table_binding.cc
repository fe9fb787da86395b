#include "sinks/postgres/table_binding.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"
#include "schemas/type_name.h"
#include "sinks/postgres/column_fit.h"

namespace pgflow::sinks {
namespace {

namespace oid = postgres::oid;
using postgres::Oid;

bool IsTextLike(Oid type) {
  return type == oid::kText || type == oid::kVarchar || type == oid::kBpchar;
}

bool Covers(const TargetIndex& index, std::vector<std::string> names) {
  std::vector<std::string> columns = index.columns;
  std::ranges::sort(columns);
  std::ranges::sort(names);
  return columns == names;
}

// The index's columns as indices of the schema; empty when the schema lacks one.
std::vector<uint32_t> ColumnsOf(const TargetIndex& index, const schemas::TableSchema& schema) {
  std::vector<uint32_t> columns;
  for (const std::string& name : index.columns) {
    const std::optional<size_t> column = schema.FindColumn(name);
    if (!column.has_value()) return {};
    columns.push_back(static_cast<uint32_t>(*column));
  }
  std::ranges::sort(columns);
  return columns;
}

void ChooseFromWholeRow(TableBinding& binding) {
  for (const TargetIndex& index : binding.target->unique_indexes) {
    if (!index.primary) continue;
    binding.key = ColumnsOf(index, binding.schema);
    if (!binding.key.empty()) {
      binding.key_kind = KeyKind::kUnique;
      return;
    }
  }
  binding.key_kind = KeyKind::kWholeRow;
}

void ChooseKey(TableBinding& binding) {
  const schemas::TableSchema& schema = binding.schema;
  if (schema.replica_identity == schemas::ReplicaIdentity::kFull) {
    return ChooseFromWholeRow(binding);
  }
  std::vector<std::string> names;
  const bool has_identity = schema.HasKey();
  for (size_t i = 0; i < schema.columns.size(); ++i) {
    const schemas::Column& column = schema.columns[i];
    if (has_identity ? !column.identity : column.primary_key == 0) continue;
    binding.key.push_back(static_cast<uint32_t>(i));
    names.push_back(column.name);
  }
  if (binding.key.empty()) return;
  binding.key_kind = KeyKind::kIdentity;
  for (const TargetIndex& index : binding.target->unique_indexes) {
    if (Covers(index, names)) binding.key_kind = KeyKind::kUnique;
  }
  if (has_identity || binding.key_kind == KeyKind::kUnique) return;
  // Only new rows come, and nothing here tells whether one of them is there.
  binding.key.clear();
  binding.key_kind = KeyKind::kNone;
}

void AppendHex(std::string& to, std::string_view bytes) {
  to += "\\x";
  for (char c : bytes.substr(0, 64)) to += fmt::format("{:02x}", static_cast<unsigned char>(c));
}

std::string DescribeValue(const schemas::Value& value, Oid type) {
  if (value.is_null()) return "null";
  if (value.is_unchanged()) return "unchanged";
  if (value.kind == schemas::ValueKind::kText || IsTextLike(type)) {
    return std::string(value.view().substr(0, 256));
  }
  if (type == oid::kInt2 && value.size == 2) {
    return std::to_string(base::LoadBigEndian<int16_t>(value.bytes));
  }
  if (type == oid::kInt4 && value.size == 4) {
    return std::to_string(base::LoadBigEndian<int32_t>(value.bytes));
  }
  if (type == oid::kInt8 && value.size == 8) {
    return std::to_string(base::LoadBigEndian<int64_t>(value.bytes));
  }
  std::string text;
  AppendHex(text, value.view());
  return text;
}

std::string FindNarrowerColumn(const TableBinding& binding) {
  for (size_t i = 0; i < binding.columns.size(); ++i) {
    if (!binding.columns[i].written) continue;
    const ColumnFit fit = FitOf(binding.schema.columns[i], *binding.columns[i].target);
    if (fit.kind != ColumnFit::Kind::kAlters) continue;
    return fmt::format("table {}: column {} {}", binding.schema.table.ToString(),
                       binding.column_name(i), fit.problem);
  }
  return "";
}

}  // namespace

// Types whose equal values always have equal bytes in the send format. Not: numeric (1.0 = 1.00),
// floats (0 = -0), interval, jsonb, and whatever an extension brings.
bool IsBytewise(const TargetColumn& column) {
  if (!column.deterministic) return false;
  if (column.base_kind == 'e') return true;
  switch (column.base_type) {
    case oid::kBool:
    case oid::kBytea:
    case oid::kChar:
    case oid::kName:
    case oid::kInt2:
    case oid::kInt4:
    case oid::kInt8:
    case oid::kOid:
    case oid::kText:
    case oid::kVarchar:
    case oid::kDate:
    case oid::kTime:
    case oid::kTimestamp:
    case oid::kTimestamptz:
    case oid::kUuid:
    case oid::kPgLsn:
    case oid::kXid8:
      return true;
    case oid::kBpchar:
      return column.type_modifier > 0;  // Padded to one length.
    default:
      return false;
  }
}

// The target may take several values of the source for one, where its type is another one or has
// another modifier.
bool IsBytewise(const schemas::Column& source, const TargetColumn& column) {
  if (!IsBytewise(column)) return false;
  const Oid wire = source.wire_type != 0 ? source.wire_type : source.type;
  switch (column.base_type) {
    case oid::kBpchar:
    case oid::kTime:
    case oid::kTimestamp:
    case oid::kTimestamptz:
      return wire == column.base_type &&
             (column.base_modifier == -1 || source.type_modifier == column.base_modifier);
    case oid::kText:
    case oid::kVarchar:
      return IsTextLike(wire) || source.type >= postgres::kFirstUserOid;
    case oid::kInt2:
    case oid::kInt4:
    case oid::kInt8:
      return wire == oid::kInt2 || wire == oid::kInt4 || wire == oid::kInt8;
    default:
      return wire == column.base_type || (column.base_kind == 'e' && IsTextLike(wire)) ||
             source.type >= postgres::kFirstUserOid;
  }
}

bool HaveSameLayout(const TableBinding& a, const TableBinding& b) {
  const auto same_column = [&](size_t i) {
    const schemas::Column& x = a.schema.columns[i];
    const schemas::Column& y = b.schema.columns[i];
    return x.name == y.name && x.type == y.type && x.wire_type == y.wire_type &&
           x.type_modifier == y.type_modifier && x.type_name == y.type_name;
  };
  if (a.key != b.key || a.key_kind != b.key_kind || a.columns.size() != b.columns.size()) {
    return false;
  }
  for (size_t i = 0; i < a.columns.size(); ++i) {
    if (!same_column(i)) return false;
  }
  return *a.target == *b.target;
}

bool TakesBinary(const schemas::Column& source, const TargetColumn& target) {
  if (source.type == target.base_type && source.type < postgres::kFirstUserOid) return true;
  // The source's domain or enum may be a plain type here, or the other way round. Not for arrays:
  // those name their element's type in their bytes.
  const Oid wire = source.wire_type != 0 ? source.wire_type : source.type;
  if (wire == target.base_type && target.base_element_type == 0) return true;
  if (IsTextLike(wire) && IsTextLike(target.base_type)) return true;
  if (source.type < postgres::kFirstUserOid) return false;
  if (source.type_name.empty()) return true;  // The receive function will judge.
  // A user's type: enums and domains over built-in types send no OIDs; composites and arrays of
  // user types do, and theirs mean nothing here.
  const bool same =
      schemas::BareTypeName(source.type_name) == schemas::BareTypeName(target.type_name);
  if (target.base_kind == 'c') return false;
  if (target.base_element_type >= postgres::kFirstUserOid) return false;
  return same;
}

absl::Status MissingTable(const schemas::TableName& table) {
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                          "the target has no table {}: create it there, exclude it from the "
                          "source's tables, or set create_schema: true before the first run",
                          table.ToString());
}

absl::Status RefuseNarrowerColumn(const TableBinding& binding) {
  if (binding.narrower.empty()) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "{}: {}", binding.narrower,
                          kNarrowerColumnRemedy);
}

absl::Status WrongBinaryType(const TableBinding& binding, size_t column) {
  const schemas::Column& source = binding.schema.columns[column];
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "table {}, column {}: the source sends {} in binary, which the target's {} does not read; "
      "give both columns the same type",
      binding.schema.table.ToString(), source.name,
      source.type_name.empty() ? fmt::format("type {}", source.type) : source.type_name,
      binding.columns[column].target->type_name);
}

absl::StatusOr<std::unique_ptr<TableBinding>> BindTable(const schemas::TableSchema& schema,
                                                        TargetTablePtr target, bool replica_role) {
  auto binding = std::make_unique<TableBinding>();
  binding->schema = schema;
  binding->target = std::move(target);
  binding->sql_name = schemas::QuoteTable(schema.table);
  binding->fires_triggers =
      replica_role ? binding->target->fires_as_replica : binding->target->fires_as_origin;
  binding->is_watched =
      replica_role ? binding->target->watched_as_replica : binding->target->watched_as_origin;
  // A rule may write other tables, as a trigger may.
  binding->fires_triggers |= binding->is_watched;
  std::string missing;
  for (const schemas::Column& column : schema.columns) {
    ColumnBinding bound;
    bound.target = binding->target->FindColumn(column.name);
    if (bound.target == nullptr) {
      missing += missing.empty() ? column.name : ", " + column.name;
    } else {
      bound.written = !bound.target->generated;
      bound.takes_binary = TakesBinary(column, *bound.target);
      binding->has_identity_always |= bound.target->identity_always;
    }
    binding->columns.push_back(bound);
  }
  if (!missing.empty()) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "target table {} lacks column {}: add it there, or drop it on the way "
                            "with a project transformer",
                            schema.table.ToString(), missing);
  }
  ChooseKey(*binding);
  binding->key_is_bytewise = binding->key_kind == KeyKind::kUnique;
  for (uint32_t column : binding->key) {
    binding->columns[column].is_key = true;
    binding->key_is_bytewise &=
        IsBytewise(binding->schema.columns[column], *binding->columns[column].target);
  }
  for (ColumnBinding& column : binding->columns) {
    column.is_moved =
        std::ranges::find(binding->target->cascades.moved_columns, column.target->name) !=
        binding->target->cascades.moved_columns.end();
    binding->is_movable |=
        column.is_moved && (column.is_key || binding->key_kind == KeyKind::kWholeRow);
    column.renumbered = column.written && !column.is_key && column.target->identity_always;
    binding->has_renumbered |= column.renumbered;
  }
  binding->narrower = FindNarrowerColumn(*binding);
  return binding;
}

std::string DescribeChange(const TableBinding& binding, const engine::ChangeEvent& event) {
  static constexpr std::string_view kNames[] = {"COPY", "INSERT", "UPDATE", "DELETE", "TRUNCATE"};
  std::string text = fmt::format("table {}, {}", binding.schema.table.ToString(),
                                 kNames[static_cast<size_t>(event.operation)]);
  const schemas::RowView& row = event.before.exists() ? event.before : event.after;
  if (!row.exists() || binding.key.empty()) return text;
  std::vector<schemas::Value> values;
  row.Decode(values);
  std::string names;
  std::string shown;
  for (uint32_t column : binding.key) {
    if (column >= values.size()) return text;
    names += (names.empty() ? "" : ", ") + binding.column_name(column);
    shown += (shown.empty() ? "" : ", ") +
             DescribeValue(values[column], binding.schema.columns[column].type);
  }
  return fmt::format("{} of ({}) = ({})", text, names, shown);
}

}  // namespace pgflow::sinks
