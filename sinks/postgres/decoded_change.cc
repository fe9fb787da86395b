#include "sinks/postgres/decoded_change.h"

#include "base/status.h"

namespace pgflow::sinks {
namespace {

using engine::BeforeImage;
using engine::Operation;
using schemas::Value;

bool SameBytes(const Value& a, const Value& b) { return a.kind == b.kind && a.view() == b.view(); }

absl::Status WrongColumnCount(const TableBinding& binding) {
  return base::MakeStatus(absl::StatusCode::kDataLoss,
                          "table {}: a change has another number of columns than its schema ({})",
                          binding.schema.table.ToString(), binding.columns.size());
}

absl::Status NoKey(const TableBinding& binding) {
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                          "table {}: an UPDATE or DELETE came without a replica identity; give the "
                          "source's table a primary key or REPLICA IDENTITY FULL",
                          binding.schema.table.ToString());
}

}  // namespace

absl::Status DecodedChange::Decode(const TableBinding& binding, const engine::ChangeEvent& event) {
  key_changed = false;
  has_unchanged = false;
  if (event.operation != Operation::kDelete) {
    event.after.Decode(after);
    if (after.size() != binding.columns.size()) return WrongColumnCount(binding);
    if (event.operation != Operation::kUpdate) return absl::OkStatus();
  }
  if (binding.key_kind == KeyKind::kNone) return NoKey(binding);
  if (event.before.exists()) {
    event.before.Decode(before);
    if (before.size() != binding.columns.size()) return WrongColumnCount(binding);
  } else if (event.operation == Operation::kDelete || binding.key_kind == KeyKind::kWholeRow) {
    return NoKey(binding);
  }
  if (event.operation == Operation::kDelete) return absl::OkStatus();

  const bool full = event.before_image == BeforeImage::kFull;
  for (size_t i = 0; i < after.size(); ++i) {
    if (!after[i].is_unchanged()) continue;
    // A full image, and a key that is itself a large value, bring the value with the old row.
    if (event.before.exists() && (full || binding.columns[i].is_key)) {
      after[i] = before[i];
    } else {
      has_unchanged = true;
    }
  }
  if (!event.before.exists()) {
    before = after;
    return absl::OkStatus();
  }
  for (uint32_t column : binding.key) {
    if (!SameBytes(before[column], after[column])) key_changed = true;
  }
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
