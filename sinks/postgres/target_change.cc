#include "sinks/postgres/target_change.h"

#include "base/status.h"

namespace pgflow::sinks {

absl::Status TargetChange::Execute(const std::string& sql) {
  const absl::Status status = connection_.Execute(sql, stop_).status();
  if (!status.ok() && connection_.healthy() && connection_.in_transaction()) {
    connection_.Execute("ROLLBACK", stop_).status().IgnoreError();
  }
  return checkpoint_.Explain(status);
}

absl::Status TargetChange::Run(const std::string& sql) {
  // The look spares live tables the lock of a statement that would come to nothing.
  return Execute(fmt::format("BEGIN; {}; {}; {}; COMMIT", checkpoint_.LookSql(connection_), sql,
                             checkpoint_.FenceSql(connection_)));
}

absl::Status TargetChange::Begin() {
  return Execute(fmt::format("BEGIN; {}", checkpoint_.LookSql(connection_)));
}

absl::Status TargetChange::Commit() {
  return Execute(fmt::format("{}; COMMIT", checkpoint_.FenceSql(connection_)));
}

}  // namespace pgflow::sinks
