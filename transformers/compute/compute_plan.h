// ComputePlan: what the expressions of a `compute` mean for one table. For transformers/compute
// itself; immutable, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "expressions/expression.h"
#include "schemas/table_schema.h"

namespace pgflow::transformers {

// As the configuration has it, parsed.
struct Computation {
  enum class Kind { kNew, kReplaced };

  std::string column;
  Kind kind = Kind::kNew;
  bool typed = false;  // The user chose the type; the expression casts to it.
  expressions::Expression expression;
};

struct ComputedColumn {
  size_t index = 0;        // In the new schema.
  postgres::Oid type = 0;  // Of the values: what AppendBinaryOfText reads.
  expressions::Expression expression;
};

struct ComputePlan {
  schemas::TableSchemaPtr schema;  // The same pointer when the table is none of those.
  std::vector<ComputedColumn> columns;

  bool touched() const { return !columns.empty(); }
};

// kInvalidArgument: an expression or a column does not fit the table.
absl::StatusOr<ComputePlan> DeriveComputePlan(const std::vector<Computation>& computations,
                                              const schemas::TableSchemaPtr& schema);

}  // namespace pgflow::transformers
