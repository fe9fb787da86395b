// NetEffect: what remains of many changes of one table when each key's changes are taken together.
// Pure: knows no server.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include "engine/api/change_event.h"
#include "sinks/postgres/decoded_change.h"
#include "sinks/postgres/table_binding.h"

namespace pgflow::sinks {

// One thread. The rows point into the batches of the events, which must stay.
class NetEffect {
 public:
  enum class Final : uint8_t {
    kNothing,  // Came and went: there was no such row before, either.
    kInsert,
    kUpdate,   // Unchanged values stay as they are in the target.
    kReplace,  // Deleted and inserted again: columns that only the target has get their defaults.
    kDelete,   // Only the key's values are there.
  };
  struct Row {
    Final final = Final::kNothing;
    schemas::Value* values = nullptr;  // As many as the table has columns.
    std::string_view key;              // Its bytes; sorts as the server does, mostly.
  };

  // For tables whose key_is_bytewise.
  explicit NetEffect(const TableBinding& binding) : binding_(binding) {}
  NetEffect(const NetEffect&) = delete;
  NetEffect& operator=(const NetEffect&) = delete;

  // False: this change cannot be merged with the earlier ones (the history makes no sense, or the
  // key changed of a row that the target had before); the caller writes all of them in order.
  absl::StatusOr<bool> Add(const engine::ChangeEvent& event);
  // The same, but false as well when an earlier change has the same key.
  absl::StatusOr<bool> AddDistinct(const engine::ChangeEvent& event);

  const TableBinding& binding() const { return binding_; }
  // In the order in which the keys first came.
  std::span<const Row> rows() const { return rows_; }
  size_t event_count() const { return event_count_; }

 private:
  bool Merge(const engine::ChangeEvent& event);
  bool MergeInsert(const std::vector<schemas::Value>& values);
  bool MergeUpdate(const std::vector<schemas::Value>& values);
  bool MergeDelete(const std::vector<schemas::Value>& values);
  bool MergeMove();
  // The row of that key, made when it is new.
  Row* Find(const std::vector<schemas::Value>& values, bool& is_new);
  void Keep(Row& row, const std::vector<schemas::Value>& values);

  const TableBinding& binding_;
  std::pmr::monotonic_buffer_resource memory_;
  absl::flat_hash_map<std::string_view, uint32_t> by_key_;
  std::vector<Row> rows_;
  DecodedChange change_;
  std::string key_;
  schemas::ValueKind key_kind_ = schemas::ValueKind::kNull;  // Of its first key value.
  bool distinct_ = false;
  size_t event_count_ = 0;
};

}  // namespace pgflow::sinks
