// TableGates: from which LSN on each table's stream changes are to be applied.
#pragma once

#include <map>

#include "engine/api/change_event.h"
#include "engine/api/checkpoint.h"

namespace pgflow::engine {

// Value type, used by one lane. Built from a checkpoint after the snapshot.
class TableGates {
 public:
  enum class Verdict {
    kSkip,     // The change is in the snapshot's rows already.
    kCatchUp,  // It may be: apply leniently.
    kApply,
  };

  TableGates() = default;
  explicit TableGates(const SinkCheckpoint& checkpoint);

  Verdict Judge(const schemas::TableName& source_table, postgres::Lsn commit_lsn) const;

  // From here on every change is applied: the sink is at a commit of the source.
  postgres::Lsn settled() const { return settled_; }

 private:
  struct Gate {
    postgres::Lsn apply_from;
    postgres::Lsn catch_up_until;
  };
  std::map<schemas::TableName, Gate> gates_;
  postgres::Lsn settled_;
};

}  // namespace pgflow::engine
