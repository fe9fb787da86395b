// WindowTables: a window's changes by the table of the target that they go into.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>

#include "sinks/postgres/net_effect.h"
#include "sinks/postgres/window_changes.h"

namespace pgflow::sinks {

// One thread; the changes must outlive it. What is said of one table holds whatever the others do:
// for tables whose triggers do not fire.
class WindowTables {
 public:
  struct Table {
    const TableBinding* binding = nullptr;
    std::optional<NetEffect> net;  // Of all its changes,
    bool to_copy = false;
    std::vector<WindowChanges::Change> in_order;  // or these, where that cannot be told.
  };

  // By columns that a unique index covers and whose bytes say what is equal.
  static bool TakesNetEffect(const TableBinding& binding);

  // An error: the change itself is at fault.
  absl::Status Add(const WindowChanges::Change& change);
  // `changes`: all that were added. Changes of one table are merged or kept in order as a whole:
  // those that have another layout, or cannot be merged, stand between those that can.
  void KeepOrderWhereNeeded(std::span<const WindowChanges::Change> changes);

  // In the order in which the tables first came.
  std::deque<Table>& all() { return tables_; }

 private:
  std::deque<Table> tables_;
  absl::flat_hash_map<postgres::Oid, Table*> by_oid_;
  Table* last_ = nullptr;
  bool has_ordered_ = false;
};

}  // namespace pgflow::sinks
