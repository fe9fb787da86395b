#include "sinks/postgres/window_tables.h"

#include "base/status.h"

namespace pgflow::sinks {

bool WindowTables::TakesNetEffect(const TableBinding& binding) {
  return binding.key_kind == KeyKind::kUnique && binding.key_is_bytewise && !binding.has_renumbered;
}

absl::Status WindowTables::Add(const WindowChanges::Change& change) {
  const TableBinding& binding = *change.binding;
  if (last_ == nullptr || last_->binding->target->oid != binding.target->oid) {
    Table*& table = by_oid_[binding.target->oid];
    if (table == nullptr) {
      table = &tables_.emplace_back();
      table->binding = &binding;
      if (TakesNetEffect(binding)) table->net.emplace(binding);
    }
    last_ = table;
  }
  bool merged = false;
  if (last_->net.has_value() && last_->binding->layout == binding.layout) {
    PGFLOW_ASSIGN_OR_RETURN(merged, last_->net->Add(*change.event));
  }
  if (merged) return absl::OkStatus();
  last_->net.reset();
  has_ordered_ = true;
  return absl::OkStatus();
}

void WindowTables::KeepOrderWhereNeeded(std::span<const WindowChanges::Change> changes) {
  if (!has_ordered_) return;
  for (const WindowChanges::Change& change : changes) {
    Table& table = *by_oid_.at(change.binding->target->oid);
    if (!table.net.has_value()) table.in_order.push_back(change);
  }
}

}  // namespace pgflow::sinks
