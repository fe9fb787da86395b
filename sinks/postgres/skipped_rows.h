// SkippedRows: what the sink's options let it pass over, counted and told.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sinks/postgres/apply_pipeline.h"

namespace pgflow::sinks {

// One thread. Of one window at a time: nothing of a window that failed counts, because it comes
// again.
class SkippedRows {
 public:
  // `change`: which one, in words; empty when it was one of many.
  void Add(const Deviation& deviation, std::string change);
  // Of a table that the target lacks.
  void AddWithoutTable(const std::string& table);
  void Forget();
  // A line for each row, for many rows in some; how many they were.
  uint64_t Tell(std::string_view sink);

 private:
  std::vector<std::string> lines_;
  uint64_t untold_ = 0;  // Of those without a line of their own.
  uint64_t count_ = 0;
  std::vector<std::pair<std::string, uint64_t>> without_table_;  // Few: tables of one window.
};

}  // namespace pgflow::sinks
