// EventOrder: which events have to stay in order, and what a snapshot row is called.
//
// One thread. Errors: kDataLoss when a row does not fit its schema; those of KeyChoice.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include "engine/api/change_event.h"
#include "engine/api/checkpoint.h"
#include "sinks/encoding/key_choice.h"
#include "sinks/encoding/schema_plans.h"

namespace pgflow::sinks {

struct EventKeys {
  uint64_t key = 0;
  uint64_t old_key = 0;  // Of an update that changed the key; else the same.
};

class EventOrder {
 public:
  explicit EventOrder(KeyChoice choice) : choice_(std::move(choice)) {}

  // Before the first event of each batch.
  void StartBatch() { plans_.StartBatch(); }

  // Numbers for the table and the key of a row event. All rows of a table have the same where it
  // has no key, or where the source does not tell the key of a row before it was changed. Different
  // keys may share a number, which costs time and nothing else.
  absl::StatusOr<EventKeys> KeysOf(const engine::ChangeEvent& event);

  // A range of a snapshot begins.
  void StartRange(const engine::BlockRange& range);
  // A name for a row of it, which shares its position with all others: of its values, and a count
  // where rows of the range are alike. So it is the same when the range is read again, whatever
  // order its rows come in, and no two rows share it, whatever columns a transformer left.
  absl::StatusOr<std::string> SnapshotRowId(engine::Position position,
                                            const engine::ChangeEvent& event);

 private:
  using Columns = std::vector<size_t>;

  // The key's columns, if both keys of an update are known; else none.
  absl::StatusOr<Columns> OrderColumns(const schemas::TableSchema& schema) const;
  void StartKey(const schemas::TableSchema& schema);
  void AppendValue(const schemas::Value& value);
  absl::Status Decode(const schemas::TableSchema& schema, const schemas::RowView& row,
                      std::vector<schemas::Value>& values) const;

  const KeyChoice choice_;
  SchemaPlans<Columns> plans_;
  engine::BlockRange range_;
  std::string bytes_;
  std::vector<schemas::Value> values_;
  std::vector<schemas::Value> before_;
  // How often a row (by the start of its digest) was seen in the range: 16 bytes a row.
  absl::flat_hash_map<uint64_t, uint32_t> seen_;
};

}  // namespace pgflow::sinks
