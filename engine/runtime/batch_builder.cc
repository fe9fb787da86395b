#include "engine/runtime/batch_builder.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/status.h"
#include "schemas/ddl/ddl_script.h"

namespace pgflow::engine {
namespace {

absl::Status RefuseShared(const schemas::TableName& table, postgres::Lsn commit_lsn) {
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "at {}, while the copy was interrupted, {} was the name of another table than the one that "
      "was copied under it later, and what the two hold cannot be told apart any more. Run `pgflow "
      "destroy`, empty the target and start over",
      commit_lsn.ToString(), table.ToString());
}

}  // namespace

void BatchBuilder::Start(StreamPoint checkpoint, TableGates gates) {
  checkpoint_ = checkpoint;
  gates_ = std::move(gates);
  next_ordinal_ = 0;
}

ChangeEvent BatchBuilder::ToEvent(const Chunk& chunk, const EventRecord& record) const {
  const std::string_view bytes = chunk.bytes;
  ChangeEvent event;
  event.operation = record.operation;
  event.before_image = record.before_image;
  event.truncate_cascade = (record.truncate_flags & kTruncateCascade) != 0;
  event.truncate_restart_identity = (record.truncate_flags & kTruncateRestartIdentity) != 0;
  event.truncate_more = (record.truncate_flags & kTruncateMore) != 0;
  event.truncate_done = (record.truncate_flags & kTruncateDone) != 0;
  event.schema = chunk.tables[record.table].get();
  if (record.operation == Operation::kSchemaChange) {
    event.ddl = bytes.substr(record.after_offset, record.after_size);
    return event;
  }
  if (record.before_size > 0) {
    event.before = schemas::RowView::Tuple(bytes.substr(record.before_offset, record.before_size));
  }
  if (record.after_size > 0) {
    event.after = schemas::RowView::Tuple(bytes.substr(record.after_offset, record.after_size));
  }
  return event;
}

absl::StatusOr<TableGates::Verdict> BatchBuilder::Judge(const Chunk& chunk,
                                                        const EventRecord& record,
                                                        postgres::Lsn commit_lsn) {
  using Verdict = TableGates::Verdict;
  const schemas::TableName& table = chunk.tables[record.table]->table;
  if (only_ != nullptr && !only_->contains(table)) return Verdict::kSkip;
  if (gates_.open(commit_lsn)) return Verdict::kApply;
  // What is of no table was not copied.
  if (table.name.empty() ||
      chunk.tables[record.table]->rows == schemas::RowKind::kLogicalMessages) {
    return Verdict::kApply;
  }
  const postgres::Oid oid = chunk.tables[record.table]->oid;
  const Verdict verdict = gates_.Judge(table, oid, commit_lsn);
  // What was copied later went through its names before that.
  if (verdict == Verdict::kSkip && gates_.IsKnown(oid, commit_lsn)) return verdict;
  const bool taken = gates_.IsTaken(table, oid, commit_lsn);
  if (taken && verdict != Verdict::kSkip) return RefuseShared(table, commit_lsn);
  if (record.operation != Operation::kSchemaChange) return verdict;
  PGFLOW_ASSIGN_OR_RETURN(
      const schemas::DdlSubject subject,
      schemas::ReadDdlSubject(
          std::string_view(chunk.bytes).substr(record.after_offset, record.after_size)));
  if (!subject.is_table) return verdict;
  const bool renamed = subject.name_before != table;
  if (renamed && taken) return RefuseShared(table, commit_lsn);
  if (renamed && gates_.IsTaken(subject.name_before, oid, commit_lsn)) {
    return RefuseShared(subject.name_before, commit_lsn);
  }
  if (verdict == Verdict::kSkip) return verdict;
  const bool joins =
      gates_.IsHeld(subject.name_before) || (renamed && gates_.IsWatched(subject.name_before));
  if (!joins) return verdict;
  gates_.Hold(table);
  renamed_.push_back(table);
  return Verdict::kSkip;
}

absl::StatusOr<Batch> BatchBuilder::Build(const Slice& slice) {
  std::vector<ChangeEvent> events;
  const Chunk& chunk = *slice.chunk;
  // Records are in the order of their transactions.
  auto begin = std::ranges::lower_bound(chunk.records, slice.first, {}, &EventRecord::transaction);
  auto end = std::ranges::lower_bound(begin, chunk.records.end(), slice.last, {},
                                      &EventRecord::transaction);
  events.reserve(static_cast<size_t>(end - begin));
  uint32_t transaction = UINT32_MAX;
  for (auto record = begin; record != end; ++record) {
    if (record->transaction != transaction) {
      transaction = record->transaction;
      if (slice.transactions[transaction].begins) next_ordinal_ = 0;
    }
    if (slice.aborted != nullptr && slice.aborted->contains(record->xid)) continue;
    const Position position{slice.transactions[transaction].commit_lsn, next_ordinal_++};
    if (position.commit_lsn <= checkpoint_.commit_lsn) continue;
    TableGates::Verdict verdict = TableGates::Verdict::kApply;
    if (only_ != nullptr || !gates_.open(position.commit_lsn)) {
      PGFLOW_ASSIGN_OR_RETURN(verdict, Judge(chunk, *record, position.commit_lsn));
    }
    if (verdict == TableGates::Verdict::kSkip) continue;
    if (!skipped_.empty() && skipped_.contains(position)) continue;
    ChangeEvent event = ToEvent(chunk, *record);
    event.catch_up = verdict == TableGates::Verdict::kCatchUp || record->replayed != 0;
    // Among tables that were copied at different times, a definition may fit no more.
    if (event.operation == Operation::kSchemaChange && position.commit_lsn < gates_.settled()) {
      event.catch_up = true;
    }
    event.transaction = transaction - slice.first;
    event.ordinal = position.ordinal;
    events.push_back(event);
  }
  std::vector<TransactionSpan> transactions(slice.transactions.begin() + slice.first,
                                            slice.transactions.begin() + slice.last);
  return Batch(slice.chunk, std::move(events), std::move(transactions));
}

}  // namespace pgflow::engine
