#include "sinks/opensearch/window_writer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "engine/api/copy_again.h"
#include "schemas/ddl/ddl_script.h"
#include "sinks/opensearch/document_read.h"
#include "sinks/opensearch/index_scan.h"
#include "sinks/opensearch/json_scanner.h"

namespace pgflow::sinks {

using engine::Batch;
using engine::BeforeImage;
using engine::ChangeEvent;
using engine::Operation;
using engine::Position;

namespace {

// A window of so many rows is a sign of load: its rows become visible by the refresh interval.
constexpr size_t kFewEntries = 500;
constexpr size_t kFetchDocuments = 500;
// Between the source's clock and ours.
constexpr absl::Duration kClocksApart = absl::Minutes(1);

bool SameShape(const schemas::TableSchema& a, const schemas::TableSchema& b) {
  return a.table == b.table && a.replica_identity == b.replica_identity &&
         std::equal(a.columns.begin(), a.columns.end(), b.columns.begin(), b.columns.end(),
                    [](const schemas::Column& x, const schemas::Column& y) {
                      return x.name == y.name && x.type == y.type && x.wire_type == y.wire_type &&
                             x.type_modifier == y.type_modifier && x.identity == y.identity &&
                             x.attribute_number == y.attribute_number;
                    });
}

bool HasUnchanged(std::span<const schemas::Value> values) {
  return std::ranges::any_of(values, [](const schemas::Value& v) { return v.is_unchanged(); });
}

absl::Status Decode(const TableIndex& index, const schemas::RowView& row,
                    std::vector<schemas::Value>& values) {
  if (row.exists() && row.column_count() != index.plan.columns.size()) {
    return base::MakeStatus(absl::StatusCode::kDataLoss, "table {}: row of {} columns, not {}",
                            index.plan.schema.table.ToString(), row.column_count(),
                            index.plan.columns.size());
  }
  row.Decode(values);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<engine::Rejection>> WindowWriter::Write(const engine::Window& window,
                                                                   std::stop_token stop) {
  rejections_.clear();
  size_t events = 0;
  for (Batch& batch : window.batches) {
    last_schema_ = nullptr;
    PGFLOW_ASSIGN_OR_RETURN(const std::span<const ChangeEvent> changes, batch.Events());
    events += changes.size();
    for (const ChangeEvent& event : changes) PGFLOW_RETURN_IF_ERROR(Add(batch, event, stop));
  }
  const bool few = events <= kFewEntries && window.ends_at_commit;
  const bool at_once =
      config_.refresh == RefreshMode::kAlways || (config_.refresh == RefreshMode::kAuto && few);
  PGFLOW_RETURN_IF_ERROR(Flush(
      at_once ? BulkSender::Visibility::kAtOnce : BulkSender::Visibility::kLater, std::move(stop)));
  return std::exchange(rejections_, {});
}

bool WindowWriter::MayBeReplay(const Batch& batch, const ChangeEvent& event) const {
  const engine::TransactionSpan& transaction = batch.transactions()[event.transaction];
  return event.catch_up || transaction.commit_time < replay_.started + kClocksApart ||
         transaction.commit_lsn <= replay_.sent_before;
}

SchemaStep WindowWriter::StepOf(postgres::Oid table, postgres::Lsn commit_lsn) {
  if (commit_lsn != commands_lsn_) commands_.clear();
  commands_lsn_ = commit_lsn;
  const auto found = commands_.find(table);
  return {commit_lsn, found == commands_.end() ? 0 : found->second};
}

absl::Status WindowWriter::Settle(std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(Flush(BulkSender::Visibility::kLater, std::move(stop)));
  // What is refused before a step does not come again after it.
  return rejections_.empty() ? absl::OkStatus() : rejections_.front().error;
}

absl::StatusOr<WindowWriter::Table*> WindowWriter::Meet(const schemas::TableName& name,
                                                        std::stop_token stop) {
  Table& table = tables_[name];
  if (!table.met.has_value()) {
    PGFLOW_ASSIGN_OR_RETURN(table.met, keeper_.Followed(name, std::move(stop)));
  }
  return &table;
}

// Compared with what the index had followed when this writer began, because all that is sent since
// comes in its order.
bool WindowWriter::IsDone(Table& table, SchemaStep step, const schemas::TableSchema* schema) {
  if (table.caught_up) return false;
  const SchemaStep done = table.met->done;
  if (step.lsn < done.lsn) return true;
  if (step.lsn == done.lsn && done.number > 0) {
    // A row of the step's own shape comes behind it, a command is the step itself.
    if (step.number < done.number || (schema == nullptr && step.number == done.number)) return true;
  } else if (step.lsn == done.lsn && done.lsn.value() > 0 && schema != nullptr) {
    // No command was captured: rows of the transaction that look otherwise are the earlier ones.
    if (!HasColumns(*table.met, *schema)) return true;
  }
  table.caught_up = true;
  return false;
}

absl::StatusOr<const TableIndex*> WindowWriter::IndexOf(const ChangeEvent& event, Position position,
                                                        std::stop_token stop) {
  if (event.schema == last_schema_) return last_index_;
  const schemas::TableName& name = event.schema->table;
  const SchemaStep step = StepOf(event.schema->oid, position.commit_lsn);
  PGFLOW_ASSIGN_OR_RETURN(Table * table, Meet(name, stop));
  if (table->frozen || IsDone(*table, step, event.schema)) return nullptr;
  if (table->index == nullptr || !SameShape(table->seen, *event.schema)) {
    // The rows before it are of the old shape.
    PGFLOW_RETURN_IF_ERROR(table->index == nullptr ? Flush(BulkSender::Visibility::kLater, stop)
                                                   : Settle(stop));
    PGFLOW_ASSIGN_OR_RETURN(const std::string index, keeper_.NameOf(name));
    PGFLOW_RETURN_IF_ERROR(ClaimIndexName(owners_, index, name));
    absl::StatusOr<TableIndexPtr> bound =
        Bind(*event.schema, step, event.operation == Operation::kTruncate, stop);
    if (Freezes(*table, name, bound.status())) return nullptr;
    PGFLOW_RETURN_IF_ERROR(bound.status());
    table->index = *std::move(bound);
    table->seen = *event.schema;
  }
  last_schema_ = event.schema;
  last_index_ = table->index.get();
  return last_index_;
}

bool WindowWriter::Freezes(Table& table, const schemas::TableName& name,
                           const absl::Status& error) const {
  if (engine::TablesToCopyAgain(error).empty() || !keeper_.IsKept(name)) return false;
  base::LogWarning("table {}: its index stays as it is until the copy takes its place: {}",
                   name.ToString(), base::Message(error));
  table.frozen = true;
  return true;
}

absl::StatusOr<TableIndexPtr> WindowWriter::Bind(const schemas::TableSchema& schema,
                                                 SchemaStep step, bool empties,
                                                 std::stop_token stop) {
  if (!nested_.Has(schema.table)) return keeper_.Bind(schema, step, empties, std::move(stop));
  TableIndexPtr bound;
  {
    const base::MutexLock lock(&nested_.lock());
    PGFLOW_ASSIGN_OR_RETURN(bound, keeper_.Bind(schema, step, empties, stop));
  }
  PGFLOW_RETURN_IF_ERROR(nested_.Fit(schema.table, std::move(stop)));
  return bound;
}

absl::Status WindowWriter::Add(const Batch& batch, const ChangeEvent& event, std::stop_token stop) {
  const Position position = batch.PositionOf(event);
  if (event.operation == Operation::kSchemaChange) {
    return OnSchemaChange(event, position, std::move(stop));
  }
  PGFLOW_ASSIGN_OR_RETURN(const TableIndex* index, IndexOf(event, position, stop));
  if (index == nullptr) return OnDone(batch, event);
  if (event.operation == Operation::kTruncate) return Truncate(*index, position, std::move(stop));
  return AddRow(*index, event, position, MayBeReplay(batch, event), std::move(stop));
}

// Passed over, because the documents have it already.
absl::Status WindowWriter::OnDone(const Batch& batch, const ChangeEvent& event) const {
  if (MayBeReplay(batch, event)) return absl::OkStatus();
  const auto table = tables_.find(event.schema->table);
  if (table != tables_.end() && table->second.frozen) return absl::OkStatus();
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "table {}: its index has followed the stream beyond {}, where a change stands that is new; "
      "the stream is another one (a restored source?): copy the table again (pgflow refresh)",
      event.schema->table.ToString(), batch.PositionOf(event).ToString());
}

absl::Status WindowWriter::AddRow(const TableIndex& index, const ChangeEvent& event,
                                  Position position, bool may_be_replay, std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(Decode(index, event.before, before_));
  PGFLOW_RETURN_IF_ERROR(Decode(index, event.after, after_));
  const bool has_before = event.before.exists();
  Entry entry{.index = &index, .position = position, .changes = 1, .may_be_replay = may_be_replay};
  if (event.operation == Operation::kDelete) {
    PGFLOW_RETURN_IF_ERROR(entry.NameBy(before_));
    Put(std::move(entry));
    return absl::OkStatus();
  }
  if (has_before) {
    // An unchanged value is the old one, which a before image may hold.
    const bool full = event.before_image == BeforeImage::kFull;
    for (size_t i = 0; i < after_.size(); ++i) {
      if (!after_[i].is_unchanged() || before_[i].is_unchanged()) continue;
      if (full || index.plan.schema.columns[i].identity) after_[i] = before_[i];
    }
  }
  const bool may_move = has_before && event.operation == Operation::kUpdate;
  Entry removed = entry;
  PGFLOW_RETURN_IF_ERROR(entry.NameBy(after_));
  if (may_move) {
    PGFLOW_RETURN_IF_ERROR(removed.NameBy(before_));
    if (removed.id.empty()) removed.id = entry.id;
  }
  // What an earlier change of the row in this window brought.
  if (HasUnchanged(after_)) {
    const auto earlier = by_name_.find((may_move ? removed : entry).key());
    if (earlier != by_name_.end() && entries_[earlier->second].values != nullptr) {
      for (size_t i = 0; i < after_.size(); ++i) {
        if (after_[i].is_unchanged()) after_[i] = entries_[earlier->second].values[i];
      }
    }
  }
  entry.has_unchanged = HasUnchanged(after_);
  if (entry.has_unchanged && index.target.has_pipeline) {
    return base::MakeStatus(
        absl::StatusCode::kFailedPrecondition,
        "table {}: its change at {} does not bring all values, which its pipeline needs; ALTER "
        "TABLE {} REPLICA IDENTITY FULL, and copy the table again (pgflow refresh)",
        index.plan.schema.table.ToString(), position.ToString(),
        index.plan.schema.table.ToString());
  }
  entry.values = Keep(after_);
  if (!may_move || removed.is_at_place_of(entry)) {
    Put(std::move(entry));
    return absl::OkStatus();
  }
  if (entry.has_unchanged) return Move(std::move(removed), std::move(entry), std::move(stop));
  Put(std::move(removed));
  Put(std::move(entry));
  return absl::OkStatus();
}

// The new document gets values of the old one, so it is there for good before the old one goes:
// were both in one request, a crash could leave neither whole.
absl::Status WindowWriter::Move(Entry removed, Entry entry, std::stop_token stop) {
  const size_t columns = entry.index->plan.columns.size();
  Values values(entry.values, entry.values + columns);
  PGFLOW_RETURN_IF_ERROR(Flush(BulkSender::Visibility::kLater, stop));
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<StoredDocument> found,
                          ReadDocuments(cluster_, {removed.name(), entry.name()}, stop));
  const uint64_t version = entry.position.commit_lsn.value();
  // A later version of either: this was done before, and more.
  const bool done = (found[0].found && found[0].version > version) ||
                    (found[1].found && found[1].version >= version && !found[0].found);
  if (!done && !found[0].found) {
    PGFLOW_RETURN_IF_ERROR(OnMissing(entry));
  } else if (!done) {
    entry.values = Keep(values);
    entry.has_unchanged = false;
    entry.existing = found[0].source;
    Put(std::move(entry));
    PGFLOW_RETURN_IF_ERROR(Flush(BulkSender::Visibility::kLater, std::move(stop)));
  }
  Put(std::move(removed));
  return absl::OkStatus();
}

schemas::Value* WindowWriter::Keep(const Values& values) {
  void* place = memory_.allocate(values.size() * sizeof(schemas::Value), alignof(schemas::Value));
  std::memcpy(place, values.data(), values.size() * sizeof(schemas::Value));
  return static_cast<schemas::Value*>(place);
}

void WindowWriter::Put(Entry entry) {
  const auto [found, added] = by_name_.try_emplace(entry.key(), entries_.size());
  if (added) {
    entries_.push_back(std::move(entry));
    return;
  }
  Entry& earlier = entries_[found->second];
  entry.changes += earlier.changes;
  earlier = std::move(entry);
}

absl::Status WindowWriter::OnSchemaChange(const ChangeEvent& event, Position position,
                                          std::stop_token stop) {
  last_schema_ = nullptr;
  const absl::StatusOr<schemas::DdlSubject> subject = schemas::ReadDdlSubject(event.ddl);
  // What nobody knows of, or a transformer changes, is seen with the table's next row.
  if (!subject.ok() || !subject->is_table || event.ddl_transformed) return absl::OkStatus();
  if (FindJsonMember(event.ddl, "derived") == "true") return absl::OkStatus();
  if (subject->name_before.name.empty() || subject->name.name.empty()) return absl::OkStatus();
  SchemaStep step = StepOf(subject->oid, position.commit_lsn);
  step.number = ++commands_[subject->oid];
  if (subject->name != subject->name_before) {
    PGFLOW_RETURN_IF_ERROR(OnRename(subject->name_before, subject->name, step, stop));
  }
  const ColumnsChange change = ReadColumnsChange(event.ddl);
  if ((change.creates || change.drops) && event.catch_up) return absl::OkStatus();
  if (!change.creates && !change.drops && change.after.empty()) return absl::OkStatus();
  return OnColumns(subject->name, change, event, step, std::move(stop));
}

absl::Status WindowWriter::OnColumns(const schemas::TableName& name, const ColumnsChange& change,
                                     const ChangeEvent& event, SchemaStep step,
                                     std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(Table * table, Meet(name, stop));
  const bool joined = nested_.Has(name);
  if (table->frozen) return absl::OkStatus();
  // Commands are counted for each table by itself: what the index has followed in this transaction
  // may be of the table that had the name before. What follows comes again, so to do it twice is
  // right.
  table->caught_up |= change.creates && step.lsn == table->met->done.lsn;
  if (!IsDone(*table, step, nullptr)) {
    if (event.catch_up && table->met.has_value() && !BeginsAt(change, *table->met)) {
      return absl::OkStatus();
    }
    PGFLOW_RETURN_IF_ERROR(Settle(stop));
    const auto follow = [&] {
      if (change.drops) return keeper_.Drop(name, step, stop);
      return change.creates ? keeper_.Replace(name, step, stop)
                            : keeper_.Announce(name, change, step, stop);
    };
    absl::Status followed;
    if (joined) {
      const base::MutexLock lock(&nested_.lock());
      followed = follow();
    } else {
      followed = follow();
    }
    if (Freezes(*table, name, followed)) return absl::OkStatus();
    PGFLOW_RETURN_IF_ERROR(followed);
    table->index = nullptr;
  }
  // Its parents may be the part that a crash left.
  return joined ? nested_.Fit(name, std::move(stop)) : absl::OkStatus();
}

absl::Status WindowWriter::OnRename(const schemas::TableName& from, const schemas::TableName& to,
                                    SchemaStep step, std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(Settle(stop));
  PGFLOW_ASSIGN_OR_RETURN(const std::string old_name, keeper_.NameOf(from));
  PGFLOW_ASSIGN_OR_RETURN(const std::string new_name, keeper_.NameOf(to));
  if (nested_.Has(from) || nested_.Has(to)) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "table {} is {} now, and one of them is part of a join; change joins "
                            "and copy the tables of it again (pgflow refresh)",
                            from.ToString(), to.ToString());
  }
  PGFLOW_RETURN_IF_ERROR(keeper_.Rename(from, to, step, std::move(stop)));
  owners_.erase(old_name);
  owners_.erase(new_name);
  // What was read of them was read under other names.
  tables_.erase(from);
  tables_.erase(to);
  return absl::OkStatus();
}

absl::Status WindowWriter::Truncate(const TableIndex& index, Position position,
                                    std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(Flush(BulkSender::Visibility::kLater, stop));
  sent_ = std::max(sent_, position.commit_lsn);
  PGFLOW_RETURN_IF_ERROR(
      DeleteDocuments(cluster_, index.name, index.target, position.commit_lsn.value(), stop));
  return nested_.OnTruncate(index.plan.schema.table, std::move(stop));
}

absl::Status WindowWriter::FetchExisting(std::stop_token stop) {
  std::vector<size_t> wanted;
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].has_unchanged) wanted.push_back(i);
  }
  for (size_t at = 0; at < wanted.size(); at += kFetchDocuments) {
    const size_t end = std::min(wanted.size(), at + kFetchDocuments);
    std::vector<DocumentName> names;
    names.reserve(end - at);
    for (size_t i = at; i < end; ++i) names.push_back(entries_[wanted[i]].name());
    PGFLOW_ASSIGN_OR_RETURN(std::vector<StoredDocument> found,
                            ReadDocuments(cluster_, names, stop));
    for (size_t i = at; i < end; ++i) {
      Entry& entry = entries_[wanted[i]];
      if (found[i - at].found) {
        entry.existing = std::move(found[i - at].source);
        continue;
      }
      PGFLOW_RETURN_IF_ERROR(OnMissing(entry));
      entry.index = nullptr;
    }
  }
  return absl::OkStatus();
}

// A change that was written before may find its row deleted by a later one, which then comes again,
// too. Any other row is lost to the index.
absl::Status WindowWriter::OnMissing(const Entry& entry) {
  if (entry.may_be_replay || keeper_.IsKept(entry.index->plan.schema.table)) {
    base::LogWarning(
        "document {} of index {} is not there, and its change at {} does not bring "
        "all of its values: passed over, as what was written before, and later "
        "deleted, looks like that",
        entry.id, entry.index->name, entry.position.ToString());
    return absl::OkStatus();
  }
  absl::Status error = base::MakeStatus(
      absl::StatusCode::kInvalidArgument,
      "document {} of index {} is not there, and its change at {} does not bring all of its values "
      "(large ones that an UPDATE does not touch); copy the table again (pgflow refresh)",
      entry.id, entry.index->name, entry.position.ToString());
  base::SetPayload(error, engine::kCulpritPayload, entry.position.ToString());
  if (entry.changes > 1) return error;
  Reject(entry, std::move(error));
  return absl::OkStatus();
}

void WindowWriter::Reject(const Entry& entry, absl::Status error) {
  rejections_.push_back({entry.position, 0, std::move(error)});
}

absl::Status WindowWriter::Flush(BulkSender::Visibility visibility, std::stop_token stop) {
  if (!entries_.empty()) {
    PGFLOW_RETURN_IF_ERROR(FetchExisting(stop));
    PGFLOW_ASSIGN_OR_RETURN(const std::vector<RefusedItem> refused,
                            sender_.Send(Encode(), visibility, stop));
    const std::vector<uint64_t> stale = sender_.stale_deletions();
    PGFLOW_RETURN_IF_ERROR(DeleteLeft(cluster_, sender_, entries_, stale, visibility, stop));
    PGFLOW_RETURN_IF_ERROR(OnRefused(refused));
    if (!config_.joins.empty()) PGFLOW_RETURN_IF_ERROR(WriteNested(visibility, std::move(stop)));
  }
  entries_.clear();
  by_name_.clear();
  memory_.release();
  return absl::OkStatus();
}

std::vector<BulkBody> WindowWriter::Encode() {
  std::vector<BulkBody> bodies;
  // Documents of a pipeline by their index, all else together (null): what is answered in another
  // order is told apart by its id, which a deletion and a document may share.
  std::map<const TableIndex*, BulkBody> open;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (entry.index == nullptr) continue;
    sent_ = std::max(sent_, entry.position.commit_lsn);
    if (nested_.IsParent(entry.index->plan.schema.table)) continue;
    const bool apart = entry.index->target.has_pipeline && entry.values != nullptr;
    BulkBody& body = open[apart ? entry.index : nullptr];
    if (body.bytes().size() >= config_.bulk_size.bytes) bodies.push_back(std::exchange(body, {}));
    if (entry.values == nullptr) {
      body.Delete(entry.index->target, entry.id, entry.version(), i, entry.routing);
      continue;
    }
    std::string& bytes =
        body.BeginIndex(entry.index->target, entry.id, entry.version(), entry.routing);
    AppendDocument(entry.index->plan, {entry.values, entry.index->plan.columns.size()},
                   entry.existing, bytes);
    body.FinishIndex(i);
  }
  for (auto& [index, body] : open) bodies.push_back(std::move(body));
  return bodies;
}

absl::Status WindowWriter::WriteNested(BulkSender::Visibility visibility, std::stop_token stop) {
  std::vector<ChildChange> children;
  std::map<schemas::TableName, std::vector<ParentRow>> parents;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (entry.index == nullptr) continue;
    const DocumentPlan& plan = entry.index->plan;
    const std::span<const schemas::Value> values(entry.values,
                                                 entry.values == nullptr ? 0 : plan.columns.size());
    if (nested_.IsParent(plan.schema.table)) {
      ParentRow& row = parents[plan.schema.table].emplace_back();
      row = {entry.id, entry.position.commit_lsn.value(), {}, i};
      if (entry.values != nullptr) AppendDocument(plan, values, entry.existing, row.document);
    }
    const std::vector<const JoinOptions*> joins = config_.JoinsWithChild(plan.schema.table);
    for (size_t j = 0; j < joins.size(); ++j) {
      ChildChange& child = children.emplace_back();
      child = {joins[j], entry.id, {}};
      if (!values.empty()) child.parent_id = LinkOf(plan, plan.links[j], values, entry.existing);
    }
  }
  if (children.empty() && parents.empty()) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<RefusedItem> refused,
                          nested_.Write(children, parents, visibility, std::move(stop)));
  return OnRefused(refused);
}

absl::Status WindowWriter::OnRefused(const std::vector<RefusedItem>& refused) {
  for (const RefusedItem& item : refused) {
    const Entry& entry = entries_[item.tag];
    absl::Status error = base::MakeStatus(
        absl::StatusCode::kInvalidArgument,
        "index {} refused document {} ({} at {}): {}; change the mapping of the field (tables: "
        "mapping), or give the sink a dead letter",
        entry.index->name, entry.id, entry.index->plan.schema.table.ToString(),
        entry.position.ToString(), item.reason);
    if (keeper_.IsKept(entry.index->plan.schema.table)) {
      base::LogWarning("{}: left out, as a copy takes the index's place soon",
                       base::Message(error));
      continue;
    }
    base::SetPayload(error, engine::kCulpritPayload, entry.position.ToString());
    // Only the last of its changes is at fault: without it the others are tried.
    if (entry.changes > 1) return error;
    Reject(entry, std::move(error));
  }
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
