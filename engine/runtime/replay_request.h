// ReplayRequest: what `pgflow replay` asks of the lane that a sink's changes pass through, and its
// answer. Both go through the queue's database, so a pipeline that does not run yet gets it when it
// starts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/state/sqlite_database.h"

namespace pgflow::engine {

struct ReplayRequest {
  int64_t id = 0;       // Given by Post.
  bool forced = false;  // Letters, too, whose rows have changed since.
  bool drops = false;   // Those are taken out of the queue without being written.
};

struct ReplayAnswer {
  size_t replayed = 0;
  size_t dropped = 0;
  size_t waiting = 0;  // Not tried: behind a letter of the same row, or not passed yet.
  std::vector<std::string> refused;  // "position: why", in order.
  std::vector<std::string> skipped;  // Changed since; the same.
  std::string error;                 // What ended it before its end.
};

// The requests of one sink of a pipeline. Each call is durable when it returns.
class ReplayRequests {
 public:
  // The database must outlive it.
  ReplayRequests(const SqliteDatabase& database, std::string pipeline, std::string sink)
      : database_(database), pipeline_(std::move(pipeline)), sink_(std::move(sink)) {}

  absl::StatusOr<int64_t> Post(const ReplayRequest& request) const;
  // Not wanted any more; false: it has begun.
  absl::StatusOr<bool> Withdraw(int64_t id) const;
  // The oldest without an answer.
  absl::StatusOr<std::optional<ReplayRequest>> Waiting() const;
  absl::Status Begin(int64_t id) const;
  absl::StatusOr<bool> HasBegun(int64_t id) const;
  absl::Status Answer(int64_t id, const ReplayAnswer& answer) const;
  // Nothing until there is one; takes it away.
  absl::StatusOr<std::optional<ReplayAnswer>> TakeAnswer(int64_t id) const;

 private:
  const SqliteDatabase& database_;
  const std::string pipeline_;
  const std::string sink_;
};

}  // namespace pgflow::engine
