// WindowChanges: the row changes of a window, in order, each with how its rows go into the target.
#pragma once

#include <cstddef>
#include <span>
#include <stop_token>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>

#include "engine/api/batch.h"
#include "sinks/postgres/apply_session.h"
#include "sinks/postgres/cascade_tracker.h"
#include "sinks/postgres/skipped_rows.h"

namespace pgflow::sinks {

// One thread. Owns the bindings of its changes, whatever the session forgets meanwhile; the batches
// must stay until Clear.
class WindowChanges {
 public:
  struct Change {
    const engine::ChangeEvent* event;
    const engine::Batch* batch;
    const TableBinding* binding;
    Cascaded cascaded;
  };

  // In the order in which they happened, window after window. Not in pipeline mode. Of a table that
  // the target lacks, and may: counted in `skipped`.
  absl::Status Add(ApplySession& session, const engine::Batch& batch,
                   const engine::ChangeEvent& event, SkippedRows& skipped, std::stop_token stop);
  std::span<const Change> all() const { return changes_; }
  void DropFirst(size_t count);
  void Clear();

 private:
  std::vector<Change> changes_;
  struct Bound {
    TableBindingPtr binding;
    bool is_left_out = false;
  };
  absl::flat_hash_map<const schemas::TableSchema*, Bound> bound_;
  const schemas::TableSchema* last_schema_ = nullptr;
  const TableBinding* last_binding_ = nullptr;  // Null: of a table that is left out.
  CascadeTracker cascades_;
};

}  // namespace pgflow::sinks
