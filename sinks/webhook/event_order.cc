#include "sinks/webhook/event_order.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "base/crypto/digest.h"
#include "base/status.h"

namespace pgflow::sinks {
namespace {

constexpr size_t kIdDigits = 32;

void AppendNumber(uint64_t number, std::string& out) {
  for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>(number >> shift));
}

}  // namespace

absl::StatusOr<EventOrder::Columns> EventOrder::OrderColumns(
    const schemas::TableSchema& schema) const {
  PGFLOW_ASSIGN_OR_RETURN(Columns columns, choice_.ColumnsOf(schema));
  const bool known = schema.replica_identity == schemas::ReplicaIdentity::kFull ||
                     std::ranges::all_of(columns, [&schema](size_t column) {
                       return schema.columns[column].identity;
                     });
  if (!known) columns.clear();
  return columns;
}

void EventOrder::StartKey(const schemas::TableSchema& schema) {
  bytes_ = schema.table.schema;
  bytes_.push_back('\0');
  bytes_ += schema.table.name;
  bytes_.push_back('\0');
}

void EventOrder::AppendValue(const schemas::Value& value) {
  bytes_.push_back(static_cast<char>(value.kind));
  AppendNumber(value.size, bytes_);
  bytes_ += value.view();
}

absl::Status EventOrder::Decode(const schemas::TableSchema& schema, const schemas::RowView& row,
                                std::vector<schemas::Value>& values) const {
  row.Decode(values);
  if (values.size() == schema.columns.size()) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kDataLoss, "a row of {} has {} columns instead of {}",
                          schema.table.ToString(), values.size(), schema.columns.size());
}

absl::StatusOr<EventKeys> EventOrder::KeysOf(const engine::ChangeEvent& event) {
  const schemas::TableSchema& schema = *event.schema;
  PGFLOW_ASSIGN_OR_RETURN(
      const Columns* columns,
      plans_.Get(schema, [this](const schemas::TableSchema& each) { return OrderColumns(each); }));
  const bool both = event.after.exists() && event.before.exists();
  if (!columns->empty()) {
    const schemas::RowView& row = event.after.exists() ? event.after : event.before;
    PGFLOW_RETURN_IF_ERROR(Decode(schema, row, values_));
    if (both) PGFLOW_RETURN_IF_ERROR(Decode(schema, event.before, before_));
  }
  StartKey(schema);
  for (const size_t column : *columns) {
    // A TOASTed key that was not touched is in the before image only.
    const bool unchanged = both && values_[column].is_unchanged();
    AppendValue(unchanged ? before_[column] : values_[column]);
  }
  EventKeys keys;
  keys.key = keys.old_key = std::hash<std::string>()(bytes_);
  if (!both) return keys;
  StartKey(schema);
  for (const size_t column : *columns) AppendValue(before_[column]);
  keys.old_key = std::hash<std::string>()(bytes_);
  return keys;
}

void EventOrder::StartRange(const engine::BlockRange& range) {
  range_ = range;
  seen_.clear();
}

absl::StatusOr<std::string> EventOrder::SnapshotRowId(engine::Position position,
                                                      const engine::ChangeEvent& event) {
  PGFLOW_RETURN_IF_ERROR(Decode(*event.schema, event.after, values_));
  StartKey(*event.schema);
  AppendNumber(range_.first, bytes_);
  for (const schemas::Value& value : values_) AppendValue(value);
  const base::Digest digest = base::Sha256(bytes_);
  uint64_t start = 0;
  std::memcpy(&start, digest.data(), sizeof(start));
  const uint32_t alike = seen_[start]++;
  return fmt::format("{}:{}{}", position.commit_lsn, base::Hex(digest, kIdDigits),
                     alike == 0 ? "" : fmt::format("-{}", alike));
}

}  // namespace pgflow::sinks
