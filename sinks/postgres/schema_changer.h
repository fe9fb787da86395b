// SchemaChanger: runs the statements of one DDL script inside the target's open transaction.
#pragma once

#include <stop_token>
#include <string>

#include <absl/status/status.h>

#include "postgres/client/connection.h"
#include "schemas/ddl/ddl_script.h"

namespace pgflow::sinks {

// Short-lived. The connection is in a transaction and not in pipeline mode. After an error the
// transaction has failed.
class SchemaChanger {
 public:
  SchemaChanger(postgres::Connection& connection, bool replica_role, std::stop_token stop)
      : connection_(connection), replica_role_(replica_role), stop_(std::move(stop)) {}

  // `title` names the change in messages. kFailedPrecondition: the target refused a statement.
  absl::Status Run(const schemas::DdlScript& script, const std::string& title);

 private:
  absl::Status RunStatement(const std::string& sql, const std::string& title);
  absl::Status RunBestEffort(const std::string& sql, const std::string& title);
  // Whether the query, empty for none, answers true.
  absl::StatusOr<bool> Ask(const std::string& query);

  postgres::Connection& connection_;
  const bool replica_role_;
  const std::stop_token stop_;
};

}  // namespace pgflow::sinks
