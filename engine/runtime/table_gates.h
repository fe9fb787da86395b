// TableGates: from which LSN on each table's stream changes are to be applied.
#pragma once

#include <map>
#include <set>

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

  struct Gate {
    postgres::Lsn apply_from;
    postgres::Lsn catch_up_until;
  };

  TableGates() = default;
  // `beside`: a table that is copied again is watched in place of held.
  explicit TableGates(const SinkCheckpoint& checkpoint, bool beside = false);

  // Of a change of a table's rows or definition. A table that was copied is known by its oid,
  // because it may have had another name before and after; 0: not known.
  Verdict Judge(const schemas::TableName& source_table, postgres::Oid oid,
                postgres::Lsn commit_lsn) const;
  // Whether the sink has another table under that name already, which was copied at a later point:
  // nothing that is to be applied may go there.
  bool IsTaken(const schemas::TableName& source_table, postgres::Oid oid,
               postgres::Lsn commit_lsn) const;
  // Whether Judge needs no name: the table was copied, or was gone before anything was.
  bool IsKnown(postgres::Oid oid, postgres::Lsn commit_lsn) const {
    return commit_lsn < snapshot_lsn_ || FindByOid(oid) != nullptr;
  }

  // Every change of the table is skipped, until it is opened from some LSN on.
  void Hold(const schemas::TableName& source_table);
  void Open(const schemas::TableName& source_table, Gate gate);
  // Of a table that has none: every change is applied.
  Gate Of(const schemas::TableName& source_table) const;
  bool IsHeld(const schemas::TableName& source_table) const;
  // Its changes are applied as before; until it is opened, it is to be known when it gets another
  // name.
  void Watch(const schemas::TableName& source_table) { watched_.insert(source_table); }
  bool IsWatched(const schemas::TableName& source_table) const {
    return watched_.contains(source_table);
  }

  // From here on every change is applied, save those of held tables: the sink is at a commit of the
  // source.
  postgres::Lsn settled() const { return settled_; }
  // There is nothing to ask of Judge.
  bool open(postgres::Lsn commit_lsn) const {
    return held_ == 0 && watched_.empty() && commit_lsn >= settled_;
  }

 private:
  struct Entry {
    Gate gate;
    postgres::Oid oid = 0;  // Of the table that was copied; 0: whichever has the name.
  };
  const Entry* FindByOid(postgres::Oid oid) const;
  const Entry* Find(const schemas::TableName& source_table, postgres::Oid oid) const;

  std::map<schemas::TableName, Entry> gates_;
  std::map<postgres::Oid, schemas::TableName> names_;  // As they were when they were copied.
  postgres::Lsn snapshot_lsn_;                         // Before it, there was no other table.
  postgres::Lsn settled_;
  size_t held_ = 0;
  std::set<schemas::TableName> watched_;
};

}  // namespace pgflow::engine
