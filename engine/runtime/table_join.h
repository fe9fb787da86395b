// TableJoin: a second lane of a sink, that brings some tables into the running stream of the first.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string_view>
#include <thread>

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>

#include "base/mutex.h"
#include "engine/runtime/sink_lane.h"
#include "engine/runtime/table_gates.h"

namespace pgflow::engine {

// Behind the sink's name: the second lane has a checkpoint of its own. No sink is named like this.
inline constexpr std::string_view kJoinSuffix = "+join";

// Made and used by the first lane's thread; frontier and status by any. Keeps what is in the log
// from its making on.
class TableJoin {
 public:
  // Nothing before `start` is asked of the slot again.
  TableJoin(const LaneContext& context, const SinkNode& node, JoinScope scope, postgres::Lsn start);

  // The tables' changes are in the stream from `published` on.
  void Start(postgres::Lsn published);
  bool started() const { return thread_.joinable(); }
  // Nothing while it runs.
  std::optional<absl::Status> result() const;
  // It has copied its tables and is not far from `position`, where the first lane is.
  bool IsCloseTo(postgres::Lsn position) const;
  // Waits until it has come to `position`, and ends it. Gives for each table from where on its
  // changes are still to be applied: those before are durable, by the stream or by the copy, which
  // may be ahead of `position`. An error: its own, or it was stopped.
  absl::StatusOr<std::map<schemas::TableName, TableGates::Gate>> Finish(postgres::Lsn position,
                                                                        std::stop_token stop);
  absl::Status Forget() { return lane_.Forget(); }

  postgres::Lsn frontier() const { return lane_.frontier(); }
  SinkStatus status(const SourceView& source) const { return lane_.status(source); }

 private:
  JoinScope scope_;
  LaneContext context_;
  SinkLane lane_;
  mutable base::Mutex mutex_;
  std::optional<absl::Status> result_ ABSL_GUARDED_BY(mutex_);
  std::jthread thread_;
};

}  // namespace pgflow::engine
