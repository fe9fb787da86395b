// DecodedChange: the values of one change, with the old row's key always at hand.
#pragma once

#include <vector>

#include <absl/status/status.h>

#include "engine/api/change_event.h"
#include "schemas/value.h"
#include "sinks/postgres/table_binding.h"

namespace pgflow::sinks {

// Reused from change to change; one thread. The values point into the event's batch.
struct DecodedChange {
  // Key columns at least, for UPDATE and DELETE; all of them with a full before image. An UPDATE
  // that did not change the key has `after`'s values here.
  std::vector<schemas::Value> before;
  std::vector<schemas::Value> after;  // Not for DELETE.
  bool key_changed = false;
  bool has_unchanged = false;  // `after` lacks a value that the old row does not show either.

  // kFailedPrecondition: an UPDATE or DELETE without a key. kDataLoss: the row has other columns
  // than its schema.
  absl::Status Decode(const TableBinding& binding, const engine::ChangeEvent& event);
};

}  // namespace pgflow::sinks
