// Subscription: which events an endpoint gets.
//
// One thread at a time. Errors: kDataLoss when a row does not fit its schema.
#pragma once

#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "base/config/config_spec.h"
#include "engine/api/change_event.h"
#include "schemas/table_filter.h"

namespace pgflow::sinks {

struct SubscriptionConfig {
  std::vector<std::string> tables;
  std::vector<std::string> operations = {"read", "insert", "update", "delete", "truncate"};
  std::vector<std::string> changed_columns;
};

config::ConfigSpec<SubscriptionConfig> SubscriptionSpec();

class Subscription {
 public:
  // kInvalidArgument: a table pattern without a schema, an unknown operation.
  static absl::StatusOr<Subscription> Make(const SubscriptionConfig& config);

  absl::StatusOr<bool> Wants(const engine::ChangeEvent& event);
  bool WantsTable(const schemas::TableName& table) const { return tables_.Matches(table); }
  bool WantsOperation(engine::Operation operation) const;

 private:
  Subscription(schemas::TableFilter tables, uint32_t operations, std::vector<std::string> columns)
      : tables_(std::move(tables)), operations_(operations), columns_(std::move(columns)) {}
  // Whether one of the columns got another value, as far as the event tells.
  absl::StatusOr<bool> Changed(const engine::ChangeEvent& event);

  schemas::TableFilter tables_;
  uint32_t operations_;  // A bit each.
  std::vector<std::string> columns_;
  std::vector<schemas::Value> before_;
  std::vector<schemas::Value> after_;
};

}  // namespace pgflow::sinks
