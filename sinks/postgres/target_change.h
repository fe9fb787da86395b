// TargetChange: a transaction that changes the target beside the stream, and proves at its end that
// the sink is still ours.
#pragma once

#include <stop_token>
#include <string>
#include <utility>

#include <absl/status/status.h>

#include "postgres/client/connection.h"
#include "sinks/postgres/checkpoint_statements.h"

namespace pgflow::sinks {

// Short-lived; what is given must outlive it. The connection is outside of a transaction and not in
// pipeline mode. kFailedPrecondition: another pgflow has taken the sink over; nothing was changed.
//
// The proof is the last thing before the commit: the lock that comes with it is held for a moment,
// however long the change takes, and whoever takes the sink over does not wait for an index.
class TargetChange {
 public:
  TargetChange(postgres::Connection& connection, const CheckpointStatements& checkpoint,
               std::stop_token stop)
      : connection_(connection), checkpoint_(checkpoint), stop_(std::move(stop)) {}

  // All of `sql` (statements with `;` between them) in a transaction of its own, or nothing.
  absl::Status Run(const std::string& sql);

  // The same in parts: statements of the caller come between these two. After an error of one of
  // those the caller throws the connection away.
  absl::Status Begin();
  absl::Status Commit();

  postgres::Connection& connection() { return connection_; }

 private:
  absl::Status Execute(const std::string& sql);

  postgres::Connection& connection_;
  const CheckpointStatements& checkpoint_;
  const std::stop_token stop_;
};

}  // namespace pgflow::sinks
