// TableActivity: how much of each table a sink has taken, counted while somebody looks.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "engine/api/batch.h"

namespace pgflow::engine {

inline constexpr size_t kOperationCount = 6;

// Totals since the counting began.
struct TableActivity {
  std::string sink;
  schemas::TableName table;
  std::array<uint64_t, kOperationCount> changes{};  // By Operation.
  uint64_t bytes = 0;                               // Of values, as the source sent them.
};

// Adds the batch to `totals`, with a new entry for a table that has none. One thread. Changes that
// belong to no table are left out.
void CountActivity(std::string_view sink, Batch& batch, std::vector<TableActivity>& totals);
// The same of totals that were counted apart.
void AddActivity(const std::vector<TableActivity>& more, std::vector<TableActivity>& totals);

// What /activity says and `pgflow top` reads.
std::string ActivityToJson(const std::vector<TableActivity>& totals);
// kInvalidArgument when it is no such text.
absl::StatusOr<std::vector<TableActivity>> ActivityFromJson(std::string_view json);

}  // namespace pgflow::engine
