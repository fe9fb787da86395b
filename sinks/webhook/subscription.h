// Subscription: which events an endpoint gets.
//
// One thread at a time. Errors: kDataLoss when a row does not fit its schema; kFailedPrecondition
// when `when` does not fit the table; kInvalidArgument when it has no result for a row.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "base/config/config_spec.h"
#include "engine/api/change_event.h"
#include "expressions/expression.h"
#include "schemas/table_filter.h"
#include "sinks/encoding/schema_plans.h"

namespace pgflow::sinks {

struct SubscriptionConfig {
  std::vector<std::string> tables;
  std::vector<std::string> operations = {"read", "insert", "update", "delete", "truncate"};
  std::vector<std::string> changed_columns;
  std::optional<std::string> when;
};

config::ConfigSpec<SubscriptionConfig> SubscriptionSpec();

class Subscription {
 public:
  // kInvalidArgument: a table pattern without a schema, an unknown operation, a `when` that is no
  // condition.
  static absl::StatusOr<Subscription> Make(const SubscriptionConfig& config);

  // Before the first event of each batch.
  void StartBatch() { conditions_.StartBatch(); }
  absl::StatusOr<bool> Wants(const engine::ChangeEvent& event);
  bool WantsTable(const schemas::TableName& table) const { return tables_.Matches(table); }
  bool WantsOperation(engine::Operation operation) const;
  // Whether `when` fits the table.
  absl::Status CheckTable(const schemas::TableSchema& schema) const;
  // `when` needs more than the row as it is now.
  bool compares_rows() const { return when_.has_value() && !when_->is_of_one_row(); }

 private:
  Subscription(schemas::TableFilter tables, uint32_t operations, std::vector<std::string> columns,
               std::optional<expressions::Expression> when)
      : tables_(std::move(tables)),
        operations_(operations),
        columns_(std::move(columns)),
        when_(std::move(when)) {}
  absl::StatusOr<expressions::Expression> Bind(const schemas::TableSchema& schema) const;
  absl::Status Decode(const engine::ChangeEvent& event);
  // Whether `when` holds, or what it needs was not sent.
  absl::StatusOr<bool> Holds(const engine::ChangeEvent& event);
  // Whether one of the columns got another value, as far as the event tells.
  bool Changed(const engine::ChangeEvent& event) const;

  schemas::TableFilter tables_;
  uint32_t operations_;  // A bit each.
  std::vector<std::string> columns_;
  std::optional<expressions::Expression> when_;
  SchemaPlans<expressions::Expression> conditions_;
  std::vector<schemas::Value> before_;
  std::vector<schemas::Value> after_;
};

}  // namespace pgflow::sinks
