// RoutePlan: where the rows of one table may go. For transformers/route itself; thread-safe.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>

#include "base/config/node.h"
#include "base/mutex.h"
#include "expressions/expression.h"
#include "schemas/table_schema.h"

namespace pgflow::transformers {

// A rule as the configuration has it, parsed.
struct Route {
  config::Place place{};  // In the file.
  std::string table;      // A pattern.
  std::optional<expressions::Expression> when;
  // `to`, cut at its braces: text, column, text, column, ..., text.
  std::vector<std::string> pieces;

  bool is_fixed() const { return pieces.size() == 1; }
};

// "events_{tenant}" -> {"events_", "tenant", ""}. kInvalidArgument: a brace that stands alone.
absl::StatusOr<std::vector<std::string>> ParseTarget(std::string_view to);

// The schemas of a table under its new names, each made once.
class RoutedSchemas {
 public:
  explicit RoutedSchemas(schemas::TableSchemaPtr schema) : schema_(std::move(schema)) {}

  // `name` is schema.name, or a name in the table's own schema. kInvalidArgument: it is no name of
  // a table, or one too many.
  absl::StatusOr<schemas::TableSchemaPtr> Get(std::string_view name);

 private:
  const schemas::TableSchemaPtr schema_;
  base::Mutex mutex_;
  std::map<schemas::TableName, schemas::TableSchemaPtr> schemas_ ABSL_GUARDED_BY(mutex_);
};

// A rule, bound to the table.
struct BoundRoute {
  std::optional<expressions::Expression> when;
  std::vector<std::string> pieces;
  std::vector<size_t> columns;     // Between the pieces.
  schemas::TableSchemaPtr target;  // Null unless it is fixed.
};

struct RoutePlan {
  schemas::TableSchemaPtr schema;
  std::vector<BoundRoute> routes;  // Those whose pattern names the table.
  std::shared_ptr<RoutedSchemas> targets;
  bool leaves_rows = true;  // False: the last rule takes all that is left.

  bool touched() const { return !routes.empty(); }
  // The tables that rows may go to and that are known: the table itself first, if rows stay there.
  std::vector<schemas::TableSchemaPtr> KnownTables() const;
  bool has_dynamic_target() const;
};

// kInvalidArgument: a rule does not fit the table.
absl::StatusOr<RoutePlan> DeriveRoutePlan(const std::vector<Route>& routes,
                                          const schemas::TableSchemaPtr& schema);

}  // namespace pgflow::transformers
