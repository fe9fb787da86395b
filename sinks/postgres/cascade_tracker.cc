#include "sinks/postgres/cascade_tracker.h"

#include <algorithm>

namespace pgflow::sinks {
namespace {

using engine::Operation;

bool HasAny(const absl::flat_hash_set<postgres::Oid>& changed,
            const std::vector<postgres::Oid>& parents) {
  return std::ranges::any_of(parents, [&](postgres::Oid oid) { return changed.contains(oid); });
}

}  // namespace

Cascaded CascadeTracker::Note(const TableBinding& binding, const engine::ChangeEvent& event,
                              postgres::Lsn commit_lsn) {
  if (!binding.fires_triggers) return {};
  if (transaction_ != commit_lsn) {
    transaction_ = commit_lsn;
    deleted_.clear();
    changed_.clear();
  }
  const TargetTable& target = *binding.target;
  Cascaded cascaded;
  if (event.operation == Operation::kDelete) {
    cascaded.deletes = HasAny(deleted_, target.cascades.deleted_with);
    deleted_.insert(target.oid);
  } else if (event.operation == Operation::kUpdate) {
    cascaded.moves = HasAny(changed_, target.cascades.moved_with);
  } else {
    return {};
  }
  changed_.insert(target.oid);
  return cascaded;
}

}  // namespace pgflow::sinks
