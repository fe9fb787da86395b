// ApplyPipeline: statements sent to the target without waiting, and what each of them must answer.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>

#include "postgres/client/connection.h"

namespace pgflow::sinks {

// Which other number of rows is no failure of a statement, but worth noting.
enum class Tolerance : uint8_t { kNone, kMissingRow, kKeyIsTaken, kKeyWasTaken };

struct Expectation {
  static constexpr int64_t kAnyRows = -1;
  static constexpr uint32_t kNoTag = UINT32_MAX;

  int64_t rows = kAnyRows;  // That it must touch,
  bool or_fewer = false;    // at most.
  uint32_t tag = kNoTag;    // The caller's name of the change, for failures.
  bool capture = false;     // Keep its result.
  Tolerance tolerance = Tolerance::kNone;
  std::string_view table{};  // For deviations of statements without a tag; outlives the pipeline.
};

struct Deviation {
  Tolerance tolerated = Tolerance::kNone;
  uint32_t tag = Expectation::kNoTag;
  uint64_t rows = 0;  // By how many there were more or fewer.
  std::string_view table;
};

struct StatementFailure {
  absl::Status status;
  uint32_t tag = Expectation::kNoTag;
  bool wrong_row_count = false;  // It touched other rows than expected; `status` says how many.
};

// One thread; the connection must outlive it. A failed statement does not make calls fail: it shows
// in failure() after Drain, and what was sent behind it up to the next Sync was skipped. Calls fail
// when the connection broke or was stopped.
class ApplyPipeline {
 public:
  ApplyPipeline(postgres::Connection& connection, std::stop_token stop)
      : connection_(connection), stop_(std::move(stop)) {}

  absl::Status Prepare(const std::string& name, const std::string& sql,
                       std::span<const postgres::Oid> types);
  absl::Status Send(const std::string& name, std::span<const postgres::Parameter> parameters,
                    Expectation expectation);
  absl::Status Query(const std::string& sql, Expectation expectation = {});
  absl::Status Sync();
  // Takes every answer; ends with a Sync if there was none. Then the pipeline mode is left.
  absl::Status Drain();

  const std::optional<StatementFailure>& failure() const { return failure_; }
  // Once per failed attempt, after Drain.
  void ForgetFailure() { failure_.reset(); }
  // In the order of the statements, of those that Drain has seen.
  const std::vector<Deviation>& deviations() const { return deviations_; }
  const std::optional<postgres::Result>& captured() const { return captured_; }

 private:
  absl::Status Enter();
  absl::Status Sent(Expectation expectation);
  absl::Status TakeUntilSync();

  postgres::Connection& connection_;
  std::stop_token stop_;
  bool entered_ = false;
  struct Pending {
    Expectation expectation;
    bool sync = false;
  };
  std::deque<Pending> pending_;
  size_t since_sync_ = 0;
  size_t syncs_ = 0;  // In pending_.
  std::optional<StatementFailure> failure_;
  std::optional<postgres::Result> captured_;
  std::vector<Deviation> deviations_;
};

}  // namespace pgflow::sinks
