#include "transformers/compute/compute_plan.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "sinks/encoding/type_binary.h"

namespace pgflow::transformers {
namespace {

namespace oid = postgres::oid;
using expressions::Expression;
using postgres::Oid;
using schemas::Column;
using schemas::TableSchema;

struct TypeNameEntry {
  Oid type;
  std::string_view name;  // As format_type() has it.
};

// Of every type that Expression::sql_type gives.
constexpr TypeNameEntry kTypeNames[] = {
    {oid::kBool, "boolean"},
    {oid::kInt2, "smallint"},
    {oid::kInt4, "integer"},
    {oid::kInt8, "bigint"},
    {oid::kNumeric, "numeric"},
    {oid::kFloat4, "real"},
    {oid::kFloat8, "double precision"},
    {oid::kText, "text"},
    {oid::kDate, "date"},
    {oid::kTimestamp, "timestamp without time zone"},
    {oid::kTimestamptz, "timestamp with time zone"},
    {oid::kUuid, "uuid"},
    {oid::kJson, "json"},
    {oid::kJsonb, "jsonb"},
    {oid::kBytea, "bytea"},
    {oid::kXml, "xml"},
    {oid::kName, "name"},
};

std::string TypeNameOf(Oid type) {
  const auto* found = std::ranges::find(kTypeNames, type, &TypeNameEntry::type);
  return std::string(found == std::end(kTypeNames) ? "text" : found->name);
}

Oid WireTypeOf(const Column& column) {
  return column.wire_type != 0 ? column.wire_type : column.type;
}

absl::Status Refused(const TableSchema& schema, const std::string& column, std::string_view why) {
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "compute: table {}, column '{}': {}",
                          schema.table.ToString(), column, why);
}

// The key of an old row is all that is known of it, so that a key is computed from nothing else.
absl::Status CheckKey(const Column& column, const Expression& expression,
                      const TableSchema& schema) {
  const bool by_key = schema.replica_identity != schemas::ReplicaIdentity::kFull;
  if (!by_key || !column.identity) return absl::OkStatus();
  for (const size_t input : expression.columns()) {
    if (schema.columns[input].identity) continue;
    return Refused(schema, column.name,
                   fmt::format("it is part of the key, and '{}', which it is computed from, is "
                               "not: an UPDATE or DELETE brings only the key of the old row; set "
                               "REPLICA IDENTITY FULL, or compute a new column",
                               schema.columns[input].name));
  }
  return absl::OkStatus();
}

absl::StatusOr<ComputedColumn> BindNew(const Computation& computation, const TableSchema& schema,
                                       TableSchema& derived) {
  if (schema.FindColumn(computation.column).has_value()) {
    return Refused(schema, computation.column,
                   "the table has it already; write it under `replace` to change its values");
  }
  absl::StatusOr<Expression> bound = computation.expression.Bind(schema);
  if (!bound.ok()) return Refused(schema, computation.column, base::Message(bound.status()));
  Column column;
  column.name = computation.column;
  column.type = bound->sql_type();
  column.type_name = TypeNameOf(column.type);
  column.identity = schema.replica_identity == schemas::ReplicaIdentity::kFull;
  derived.columns.push_back(std::move(column));
  const Oid type = bound->sql_type();
  return ComputedColumn{derived.columns.size() - 1, type, *std::move(bound)};
}

// The expression as a value of the column's own type, as an assignment does it.
absl::StatusOr<Expression> Assigned(const Expression& expression, const Column& column,
                                    const TableSchema& schema) {
  PGFLOW_ASSIGN_OR_RETURN(Expression bound, expression.Bind(schema));
  const Oid wire = WireTypeOf(column);
  if (bound.sql_type() == wire || bound.type() == expressions::Type::kNull) return bound;
  if (bound.type() == expressions::TypeOf(column)) {
    if (bound.type() == expressions::Type::kText) {
      const bool is_text = wire == oid::kVarchar || wire == oid::kBpchar || wire == oid::kText;
      if (is_text) return bound;
    } else {
      PGFLOW_ASSIGN_OR_RETURN(const Expression cast, expression.As(TypeNameOf(wire)));
      return cast.Bind(schema);
    }
  }
  return base::MakeStatus(
      absl::StatusCode::kInvalidArgument,
      "it is {}, and its new value is {}; write the type that the column is to "
      "have under `types`, or cast the value",
      column.type_name.empty() ? fmt::format("of type {}", column.type) : column.type_name,
      TypeNameOf(bound.sql_type()));
}

absl::StatusOr<ComputedColumn> BindReplaced(const Computation& computation,
                                            const TableSchema& schema, TableSchema& derived) {
  const std::optional<size_t> index = schema.FindColumn(computation.column);
  if (!index.has_value()) {
    return Refused(schema, computation.column,
                   "the table does not have it; write it under `columns` to add it");
  }
  Column& column = derived.columns[*index];
  absl::StatusOr<Expression> bound = computation.typed
                                         ? computation.expression.Bind(schema)
                                         : Assigned(computation.expression, column, schema);
  if (!bound.ok()) return Refused(schema, computation.column, base::Message(bound.status()));
  PGFLOW_RETURN_IF_ERROR(CheckKey(column, *bound, schema));
  if (computation.typed && bound->sql_type() != column.type) {
    column.type = bound->sql_type();
    column.type_name = TypeNameOf(column.type);
    column.type_modifier = -1;
    column.wire_type = 0;
    column.attribute_number = 0;  // No longer the column that the source's catalog describes.
    column.unique_index.clear();
    column.default_sql.clear();
    column.labels = nullptr;
  }
  if (!sinks::KnowsBinaryOfText(WireTypeOf(column))) {
    return Refused(schema, computation.column,
                   fmt::format("values of the type {} cannot be made here; write another one under "
                               "`types`",
                               column.type_name));
  }
  return ComputedColumn{*index, WireTypeOf(column), *std::move(bound)};
}

}  // namespace

absl::StatusOr<ComputePlan> DeriveComputePlan(const std::vector<Computation>& computations,
                                              const schemas::TableSchemaPtr& schema) {
  ComputePlan plan;
  auto derived = std::make_shared<TableSchema>(*schema);
  for (const Computation& computation : computations) {
    PGFLOW_ASSIGN_OR_RETURN(ComputedColumn column,
                            computation.kind == Computation::Kind::kNew
                                ? BindNew(computation, *schema, *derived)
                                : BindReplaced(computation, *schema, *derived));
    plan.columns.push_back(std::move(column));
  }
  plan.schema = std::move(derived);
  return plan;
}

}  // namespace pgflow::transformers
