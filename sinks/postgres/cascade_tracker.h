// CascadeTracker: which changes the target's own foreign keys may have made already.
//
// In a session that cannot switch them off, ON DELETE CASCADE and its like act in the target when
// the change of the parent is applied; what the same action did at the source comes behind it, in
// the same transaction, as changes of its own. Those find their row gone, or under another key.
#pragma once

#include <absl/container/flat_hash_set.h>

#include "engine/api/change_event.h"
#include "sinks/postgres/row_writer.h"
#include "sinks/postgres/table_binding.h"

namespace pgflow::sinks {

// One thread; knows the transaction of the source that is being read. Changes are noted in order.
class CascadeTracker {
 public:
  // What the changes of that transaction before this one may have done to its row.
  Cascaded Note(const TableBinding& binding, const engine::ChangeEvent& event,
                postgres::Lsn commit_lsn);

 private:
  postgres::Lsn transaction_;
  absl::flat_hash_set<postgres::Oid> deleted_;  // Tables with a DELETE,
  absl::flat_hash_set<postgres::Oid> changed_;  // with a DELETE or an UPDATE.
};

}  // namespace pgflow::sinks
