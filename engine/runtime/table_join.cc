#include "engine/runtime/table_join.h"

#include <algorithm>
#include <utility>

#include "base/pause.h"
#include "base/status.h"

namespace pgflow::engine {
namespace {

// So little is left to do that the first lane can wait for it.
constexpr uint64_t kCloseBytes = 1 << 20;

SinkNode SecondOf(const SinkNode& node) {
  SinkNode second;
  second.name = node.name + std::string(kJoinSuffix);
  second.type = node.type;
  second.sink = node.make();
  second.dead_letter_path = node.dead_letter_path;
  second.letters = node.letters;
  second.retry = node.retry;
  return second;
}

LaneContext Restricted(LaneContext context, const JoinScope& scope, postgres::Lsn start) {
  context.join = &scope;
  context.slot = {.created = false, .confirmed_flush = start};
  context.plan.mode = SourcePlan::Mode::kSnapshotAndStream;
  return context;
}

}  // namespace

TableJoin::TableJoin(const LaneContext& context, const SinkNode& node, JoinScope scope,
                     postgres::Lsn start)
    : scope_(std::move(scope)),
      context_(Restricted(context, scope_, start)),
      lane_(context_, SecondOf(node)) {}

void TableJoin::Start(postgres::Lsn published) {
  scope_.published = published;
  thread_ = std::jthread([this](std::stop_token stop) {
    absl::Status status = lane_.Run(std::move(stop));
    base::MutexLock lock(&mutex_);
    result_ = std::move(status);
  });
}

std::optional<absl::Status> TableJoin::result() const {
  base::MutexLock lock(&mutex_);
  return result_;
}

bool TableJoin::IsCloseTo(postgres::Lsn position) const {
  const postgres::Lsn reached = lane_.reached();
  return reached.valid() && reached.value() + kCloseBytes >= position.value();
}

absl::StatusOr<std::map<schemas::TableName, TableGates::Gate>> TableJoin::Finish(
    postgres::Lsn position, std::stop_token stop) {
  lane_.StopBefore(position);
  // What follows `position` in the log may never come.
  lane_.Finish();
  std::optional<absl::Status> ended = result();
  while (!ended.has_value() && !stop.stop_requested()) {
    base::Pause(absl::Milliseconds(1), stop);
    ended = result();
  }
  if (!ended.has_value()) return absl::CancelledError("stopped");
  PGFLOW_RETURN_IF_ERROR(*ended);
  const postgres::Lsn reached = std::max(position, lane_.frontier());
  std::map<schemas::TableName, TableGates::Gate> gates;
  for (const schemas::TableName& table : scope_.tables) {
    TableGates::Gate& gate = gates[table] = lane_.gate(table);
    gate.apply_from = std::max(gate.apply_from, reached);
  }
  return gates;
}

}  // namespace pgflow::engine
