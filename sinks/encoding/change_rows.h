// ChangeRows: the rows of one event, decoded once for everything that is written of them.
//
// Owns the decoded values, not their bytes: valid until the next Decode, while the batch lives. One
// thread.
#pragma once

#include <vector>

#include <absl/status/status.h>

#include "engine/api/change_event.h"

namespace pgflow::sinks {

using RowValues = std::vector<schemas::Value>;

// What one message says: an event, or half of an update whose key changed.
struct Change {
  engine::Operation operation = engine::Operation::kInsert;
  const schemas::TableSchema* schema = nullptr;
  const RowValues* before = nullptr;  // Null: there is no such row.
  const RowValues* after = nullptr;
  bool before_is_whole = false;  // Else only the columns of the identity are known.

  // The row whose key the message has.
  const RowValues* keyed_row() const { return after != nullptr ? after : before; }
};

class ChangeRows {
 public:
  // kDataLoss when a row does not fit its schema. An unchanged value is the old one: it is filled
  // in where a before image holds it.
  absl::Status Decode(const engine::ChangeEvent& event);

  // The whole event.
  const Change& change() const { return change_; }
  // An update as the end of its old key and the beginning of its new one.
  Change OldKeyDeleted() const;
  Change NewKeyInserted() const;

  // Whether any of those columns differs between the rows of an update.
  bool Differs(const std::vector<size_t>& columns) const;

 private:
  Change change_;
  RowValues before_;
  RowValues after_;
};

}  // namespace pgflow::sinks
