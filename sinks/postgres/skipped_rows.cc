#include "sinks/postgres/skipped_rows.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace pgflow::sinks {
namespace {

// Of one window; the others are in a sum.
constexpr size_t kLinesMax = 20;

std::string_view TextOf(Tolerance tolerated) {
  switch (tolerated) {
    case Tolerance::kMissingRow:
      return "the target lacks the row (on_missing_row: ignore)";
    case Tolerance::kKeyIsTaken:
      return "another row has its key, or another unique value of it (on_conflict: skip)";
    case Tolerance::kKeyWasTaken:
      return "it took the place of another row (on_conflict: overwrite)";
    case Tolerance::kNone:
      break;
  }
  return "";
}

}  // namespace

void SkippedRows::Add(const Deviation& deviation, std::string change) {
  count_ += deviation.rows;
  if (lines_.size() == kLinesMax) {
    untold_ += deviation.rows;
    return;
  }
  if (change.empty()) change = fmt::format("{} changes of {}", deviation.rows, deviation.table);
  lines_.push_back(fmt::format("{}: {}", change, TextOf(deviation.tolerated)));
}

void SkippedRows::AddWithoutTable(const std::string& table) {
  ++count_;
  const auto known =
      std::ranges::find(without_table_, table, [](const auto& e) { return e.first; });
  if (known == without_table_.end()) {
    without_table_.emplace_back(table, 1);
  } else {
    ++known->second;
  }
}

void SkippedRows::Forget() { *this = SkippedRows(); }

uint64_t SkippedRows::Tell(std::string_view sink) {
  for (const std::string& line : lines_) base::LogWarning("sink {}: {}", sink, line);
  if (untold_ > 0) base::LogWarning("sink {}: and {} changes more like these", sink, untold_);
  for (const auto& [table, count] : without_table_) {
    base::LogInfo(
        "sink {}: {} changes of table {} left out: `pgflow refresh FILE --copy {}` brings it", sink,
        count, table, table);
  }
  const uint64_t count = count_;
  Forget();
  return count;
}

}  // namespace pgflow::sinks
