#include "sinks/postgres/window_changes.h"

#include "base/status.h"

namespace pgflow::sinks {

absl::Status WindowChanges::Add(ApplySession& session, const engine::Batch& batch,
                                const engine::ChangeEvent& event, SkippedRows& skipped,
                                std::stop_token stop) {
  if (event.schema != last_schema_) {
    Bound& bound = bound_[event.schema];
    if (bound.binding == nullptr && !bound.is_left_out) {
      PGFLOW_ASSIGN_OR_RETURN(bound.is_left_out, session.LeavesOut(event.schema->table, stop));
      if (!bound.is_left_out) {
        PGFLOW_ASSIGN_OR_RETURN(bound.binding, session.Bind(*event.schema, std::move(stop)));
      }
    }
    // A replayed change may be older than the target's columns, which come out right behind it.
    if (!bound.is_left_out && session.refuses_narrower_columns() && !event.catch_up) {
      PGFLOW_RETURN_IF_ERROR(RefuseNarrowerColumn(*bound.binding));
    }
    last_schema_ = event.schema;
    last_binding_ = bound.binding.get();
  }
  if (last_binding_ == nullptr) {
    skipped.AddWithoutTable(event.schema->table.ToString());
    return absl::OkStatus();
  }
  const postgres::Lsn commit = batch.transactions()[event.transaction].commit_lsn;
  changes_.push_back(
      {&event, &batch, last_binding_, cascades_.Note(*last_binding_, event, commit)});
  return absl::OkStatus();
}

void WindowChanges::DropFirst(size_t count) {
  changes_.erase(changes_.begin(), changes_.begin() + static_cast<std::ptrdiff_t>(count));
}

void WindowChanges::Clear() {
  changes_.clear();
  bound_.clear();
  last_schema_ = nullptr;
  last_binding_ = nullptr;
}

}  // namespace pgflow::sinks
