#include "sinks/encoding/transaction_monitor.h"

#include <absl/time/time.h>
#include <fmt/format.h>

namespace pgflow::sinks {

bool TransactionMonitor::Enter(const engine::TransactionSpan& span, uint64_t ordinal) {
  const bool goes_on = IsOpen(span) && ordinal > ordinal_;
  ordinal_ = ordinal;
  if (goes_on) return false;
  open_ = true;
  commit_lsn_ = span.commit_lsn;
  id_ = fmt::format("{}:{}", span.xid, span.commit_lsn.value());
  commit_time_ms_ = absl::ToUnixMillis(span.commit_time);
  total_ = 0;
  collections_.clear();
  table_count_ = nullptr;
  return true;
}

TransactionPlace TransactionMonitor::Count(const schemas::TableName& table) {
  if (table_count_ == nullptr || table != table_) {
    table_ = table;
    table_count_ = &collections_[table.ToString()];
  }
  return {.id = id_, .total_order = ++total_, .collection_order = ++*table_count_};
}

TransactionNote TransactionMonitor::Begin() const {
  return {.id = id_,
          .commit_time_ms = commit_time_ms_,
          .ends = false,
          .event_count = 0,
          .collections = nullptr};
}

TransactionNote TransactionMonitor::End() {
  open_ = false;
  return {.id = id_,
          .commit_time_ms = commit_time_ms_,
          .ends = true,
          .event_count = total_,
          .collections = &collections_};
}

}  // namespace pgflow::sinks
