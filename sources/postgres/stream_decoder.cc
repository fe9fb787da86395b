#include "sources/postgres/stream_decoder.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>
#include <variant>

#include <absl/strings/escaping.h>
#include <absl/time/clock.h>

#include "base/bytes.h"
#include "base/status.h"
#include "schemas/glob.h"
#include "schemas/row_view.h"
#include "sources/postgres/captured_rows.h"
#include "sources/postgres/ddl_capture.h"
#include "sources/postgres/logical_message.h"

namespace pgflow::sources {
namespace {

using engine::Chunk;
using engine::EventRecord;
using engine::Operation;
using postgres::Oid;

// A chunk is handed over when it has this much: large enough to spread its costs, small enough to
// be spilled and to travel through the sinks' windows in parts.
constexpr size_t kChunkBytes = 256 * base::kKiB;

engine::BeforeImage BeforeImageOf(postgres::OldTuple kind) {
  switch (kind) {
    case postgres::OldTuple::kNone:
      return engine::BeforeImage::kNone;
    case postgres::OldTuple::kKey:
      return engine::BeforeImage::kKey;
    case postgres::OldTuple::kFull:
      return engine::BeforeImage::kFull;
  }
  return engine::BeforeImage::kNone;
}

absl::Status Unexpected(std::string_view message, std::string_view where) {
  return base::MakeStatus(absl::StatusCode::kDataLoss,
                          "the server sent {} {}, which the protocol does not allow", message,
                          where);
}

size_t SizeOf(const Chunk& chunk) {
  return chunk.bytes.size() + chunk.records.size() * sizeof(EventRecord);
}

// The transaction that wrote a message of the capture, which it begins with: "731 {...}". What the
// server says of a transaction in progress is the top one, whatever subtransaction it was, and only
// the subtransaction's own number tells whether it was rolled back. `label`: what the server says;
// captures before this was so say nothing.
absl::StatusOr<postgres::Xid> TakeWriter(std::string_view& content, postgres::Xid label) {
  if (content.starts_with('{')) return label;
  postgres::Xid writer = 0;
  const char* const begin = content.data();
  const auto [end, error] = std::from_chars(begin, begin + content.size(), writer);
  content.remove_prefix(static_cast<size_t>(end - begin));
  if (error != std::errc() || !content.starts_with(' ')) {
    return base::MakeStatus(absl::StatusCode::kDataLoss,
                            "a captured DDL message is malformed: it does not say which "
                            "transaction wrote it");
  }
  content.remove_prefix(1);
  return writer;
}

// Starts the next chunk with room for as much as the last one had: one allocation in the steady
// state, and none of 256 KiB for single small transactions.
void StartOver(Chunk& chunk, size_t bytes, size_t records) {
  chunk = Chunk();
  chunk.bytes.reserve(bytes);
  chunk.records.reserve(records);
}

}  // namespace

StreamDecoder::StreamDecoder(engine::StreamWriter& out, RelationLookup& relations,
                             engine::SourceTelemetry* telemetry)
    : out_(out),
      relations_(relations),
      telemetry_(telemetry),
      known_(out.tail().commit_lsn),
      message_schema_(LogicalMessageSchema()) {}

absl::Status StreamDecoder::Take(std::string_view message) {
  PGFLOW_ASSIGN_OR_RETURN(const postgres::PgoutputMessage decoded,
                          postgres::DecodePgoutput(message, state_ == State::kInStream));
  EventRecord record;
  if (const auto* insert = std::get_if<postgres::InsertMessage>(&decoded)) {
    if (insert->relation == message_relation_) [[unlikely]]
      return TakeMessageRow(*insert);
    PGFLOW_ASSIGN_OR_RETURN(const bool wanted, BeginChange(insert->relation, record.table));
    if (!wanted) return absl::OkStatus();
    record.operation = Operation::kInsert;
    AddTuple(insert->after, record.after_offset, record.after_size);
    return EndChange(record, insert->xid);
  }
  if (const auto* update = std::get_if<postgres::UpdateMessage>(&decoded)) {
    PGFLOW_ASSIGN_OR_RETURN(const bool wanted, BeginChange(update->relation, record.table));
    if (!wanted) return absl::OkStatus();
    record.operation = Operation::kUpdate;
    record.before_image = BeforeImageOf(update->before_kind);
    AddTuple(update->before, record.before_offset, record.before_size);
    AddTuple(update->after, record.after_offset, record.after_size);
    return EndChange(record, update->xid);
  }
  if (const auto* erased = std::get_if<postgres::DeleteMessage>(&decoded)) {
    PGFLOW_ASSIGN_OR_RETURN(const bool wanted, BeginChange(erased->relation, record.table));
    if (!wanted) return absl::OkStatus();
    record.operation = Operation::kDelete;
    record.before_image = BeforeImageOf(erased->before_kind);
    AddTuple(erased->before, record.before_offset, record.before_size);
    return EndChange(record, erased->xid);
  }
  if (const auto* m = std::get_if<postgres::BeginMessage>(&decoded)) return TakeBegin(*m);
  if (const auto* m = std::get_if<postgres::CommitMessage>(&decoded)) return TakeCommit(*m);
  if (const auto* m = std::get_if<postgres::RelationMessage>(&decoded)) {
    return TakeRelation(*m, m->xid);
  }
  if (const auto* m = std::get_if<postgres::TruncateMessage>(&decoded)) return TakeTruncate(*m);
  if (const auto* m = std::get_if<postgres::StreamStartMessage>(&decoded)) {
    return TakeStreamStart(*m);
  }
  if (std::holds_alternative<postgres::StreamStopMessage>(decoded)) return TakeStreamStop();
  if (const auto* m = std::get_if<postgres::StreamCommitMessage>(&decoded)) {
    return TakeStreamCommit(*m);
  }
  if (const auto* m = std::get_if<postgres::StreamAbortMessage>(&decoded)) {
    return TakeStreamAbort(*m);
  }
  if (const auto* m = std::get_if<postgres::LogicalMessage>(&decoded)) {
    return TakeMessage(*m);
  }
  if (const auto* m = std::get_if<postgres::OriginMessage>(&decoded)) return TakeOrigin(*m);
  if (std::holds_alternative<postgres::TypeMessage>(decoded)) {
    return absl::OkStatus();  // It carries no row; types are looked up in the catalog.
  }
  return Unexpected("a two-phase message", "although two_phase is off");
}

absl::Status StreamDecoder::TakeBegin(const postgres::BeginMessage& message) {
  if (state_ != State::kBetween) return Unexpected("Begin", "inside a transaction");
  state_ = State::kInTransaction;
  current_ = {.xid = message.xid,
              .commit_lsn = message.commit_lsn,
              .end_lsn = {},
              .commit_time = message.commit_time,
              .begins = true,
              .ends = false,
              .origin = nullptr};
  skipping_ = message.commit_lsn <= known_;
  started_ = false;
  span_open_ = false;
  return absl::OkStatus();
}

// Behind Begin, or in the first block of a transaction in progress, before any change.
absl::Status StreamDecoder::TakeOrigin(const postgres::OriginMessage& message) {
  if (state_ == State::kBetween) return Unexpected("Origin", "outside a transaction");
  auto origin = std::make_shared<const engine::TransactionOrigin>(
      engine::TransactionOrigin{std::string(message.name), message.commit_lsn});
  if (state_ == State::kInStream) {
    open_[top_xid_].origin = std::move(origin);
    return absl::OkStatus();
  }
  current_.origin = std::move(origin);
  skipping_ = skipping_ || leaves_out_replicated_;
  return absl::OkStatus();
}

absl::Status StreamDecoder::TakeCommit(const postgres::CommitMessage& message) {
  if (state_ != State::kInTransaction) return Unexpected("Commit", "outside a transaction");
  state_ = State::kBetween;
  last_end_ = message.end_lsn;
  if (!started_) return absl::OkStatus();
  if (!span_open_) {
    // All of its changes went with earlier chunks.
    chunk_.transactions.push_back(current_);
  }
  engine::TransactionSpan& span = chunk_.transactions.back();
  span.end_lsn = message.end_lsn;
  span.ends = true;
  span_open_ = false;
  if (telemetry_ != nullptr) telemetry_->transactions.fetch_add(1, std::memory_order_relaxed);
  return absl::OkStatus();
}

absl::Status StreamDecoder::TakeRelation(const postgres::RelationMessage& message,
                                         postgres::Xid xid) {
  if (message.schema == "pgflow" && message.name == "message") {
    message_relation_ = message.relation;
    tables_[message.relation] = nullptr;
    return absl::OkStatus();
  }
  std::optional<OpenTransactionId> learnt_in;
  if (state_ == State::kInStream) {
    learnt_in = OpenTransactionId{top_xid_, xid};
    open_[top_xid_].described.insert(message.relation);
  }
  // After a rollback it stays: the server describes the table again if, and only if, it was another
  // one meanwhile.
  PGFLOW_ASSIGN_OR_RETURN(tables_[message.relation], relations_.Resolve(message, learnt_in));
  last_relation_ = 0;
  const std::string change = relations_.TakeSchemaChange();
  return change.empty() ? absl::OkStatus() : TakeDdl(change, xid);
}

absl::StatusOr<bool> StreamDecoder::EnterTransaction() {
  if (state_ == State::kBetween) return Unexpected("a change", "outside a transaction");
  if (state_ == State::kInTransaction && skipping_) return false;
  if (state_ == State::kInTransaction && !span_open_) {
    chunk_.transactions.push_back(current_);
    current_.begins = false;  // What follows in another chunk.
    started_ = true;
    span_open_ = true;
  }
  return true;
}

absl::StatusOr<bool> StreamDecoder::BeginChange(Oid relation, uint32_t& table) {
  if (state_ == State::kBetween) return Unexpected("a change", "outside a transaction");
  if (state_ == State::kInTransaction && skipping_) return false;
  if (relation == last_relation_) [[likely]] {
    table = last_table_;
  } else {
    const auto found = tables_.find(relation);
    if (found == tables_.end()) {
      return base::MakeStatus(absl::StatusCode::kDataLoss,
                              "the server sent a change of relation {} without describing it",
                              relation);
    }
    if (found->second == nullptr) return false;
    table = target().TableIndex(found->second);
    last_relation_ = relation;
    last_table_ = table;
  }
  return EnterTransaction();
}

void StreamDecoder::AddTuple(std::string_view tuple, uint32_t& offset, uint32_t& size) {
  std::string& bytes = target().bytes;
  offset = static_cast<uint32_t>(bytes.size());
  size = static_cast<uint32_t>(tuple.size());
  bytes.append(tuple);
}

absl::Status StreamDecoder::EndChange(EventRecord record, postgres::Xid xid) {
  Chunk& chunk = target();
  if (state_ == State::kInStream) {
    record.xid = xid;
  } else {
    record.xid = current_.xid;
    record.transaction = static_cast<uint32_t>(chunk.transactions.size() - 1);
  }
  chunk.records.push_back(record);
  if (SizeOf(chunk) < kChunkBytes) return absl::OkStatus();
  return state_ == State::kInStream ? PublishOpen() : Publish();
}

absl::Status StreamDecoder::TakeTruncate(const postgres::TruncateMessage& message) {
  std::vector<Oid> wanted;
  for (size_t i = 0; i < message.relation_count(); ++i) {
    const auto found = tables_.find(message.relation(i));
    const bool left_out = found != tables_.end() && found->second == nullptr;
    if (!left_out) wanted.push_back(message.relation(i));
  }
  uint8_t flags = 0;
  if (message.cascade) flags |= engine::kTruncateCascade;
  if (message.restart_identity) flags |= engine::kTruncateRestartIdentity;
  for (size_t i = 0; i < wanted.size(); ++i) {
    EventRecord record;
    record.operation = Operation::kTruncate;
    record.truncate_flags = flags;
    if (i + 1 < wanted.size()) record.truncate_flags |= engine::kTruncateMore;
    PGFLOW_ASSIGN_OR_RETURN(const bool kept, BeginChange(wanted[i], record.table));
    if (kept) PGFLOW_RETURN_IF_ERROR(EndChange(record, message.xid));
  }
  return absl::OkStatus();
}

absl::Status StreamDecoder::TakeMessage(const postgres::LogicalMessage& message) {
  if (message.prefix == kDdlPrefix || message.prefix == kRowsPrefix) {
    if (!message.transactional) return absl::OkStatus();
    return TakeLogicalMessage(message.prefix, message.content, message.xid);
  }
  if (wanted_messages_.empty()) return absl::OkStatus();
  const std::string prefix(message.prefix);
  const bool wanted = std::ranges::any_of(wanted_messages_, [&](const std::string& pattern) {
    return schemas::MatchesGlob(pattern, prefix);
  });
  if (!wanted) return absl::OkStatus();
  if (message.transactional) return AddMessage(message);
  // It comes when it was written, between transactions, and stands there for one. Its LSN is the
  // end of its record (logicalmsg_decode), where a COMMIT may begin; the byte before is nobody
  // else's.
  const absl::Time now = absl::Now();
  const postgres::Lsn place(message.lsn.value() - 1);
  PGFLOW_RETURN_IF_ERROR(TakeBegin({.commit_lsn = place, .commit_time = now, .xid = 0}));
  PGFLOW_RETURN_IF_ERROR(AddMessage(message));
  return TakeCommit({.commit_lsn = place, .end_lsn = message.lsn, .commit_time = now});
}

absl::Status StreamDecoder::AddMessage(const postgres::LogicalMessage& message) {
  PGFLOW_ASSIGN_OR_RETURN(const bool wanted, EnterTransaction());
  if (!wanted) return absl::OkStatus();
  EventRecord record;
  record.operation = Operation::kInsert;
  record.table = target().TableIndex(message_schema_);
  AddTuple(LogicalMessageTuple(message), record.after_offset, record.after_size);
  return EndChange(record, message.xid);
}

absl::Status StreamDecoder::TakeLogicalMessage(std::string_view prefix, std::string_view content,
                                               postgres::Xid xid) {
  if (prefix != kDdlPrefix && prefix != kRowsPrefix) return absl::OkStatus();
  const std::string_view secret = relations_.CaptureSecret();
  // Anybody may write a logical message.
  if (secret.empty() || !content.starts_with(secret)) return absl::OkStatus();
  content.remove_prefix(secret.size());
  PGFLOW_ASSIGN_OR_RETURN(xid, TakeWriter(content, xid));
  return prefix == kDdlPrefix ? TakeDdl(content, xid) : TakeCapturedRows(content, xid);
}

absl::Status StreamDecoder::TakeMessageRow(const postgres::InsertMessage& message) {
  std::vector<schemas::Value> values;
  schemas::RowView::Tuple(message.after).Decode(values);
  // Before version 14 all values come as text, a bytea as hex.
  if (values.size() != 2 || !values[1].view().starts_with("\\x")) {
    return Unexpected("a row of pgflow.message", "in a form");
  }
  const std::string content = absl::HexStringToBytes(
      absl::string_view(values[1].view().data() + 2, values[1].view().size() - 2));
  return TakeLogicalMessage(values[0].view(), content, message.xid);
}

absl::Status StreamDecoder::TakeDdl(std::string_view content, postgres::Xid xid) {
  PGFLOW_ASSIGN_OR_RETURN(const schemas::DdlSubject subject, schemas::ReadDdlSubject(content));
  if (!relations_.WantsDdl(subject)) return absl::OkStatus();
  if (subject.new_for.empty() || !relations_.Publishes(subject.new_for)) {
    return AddDdl(subject, content, xid);
  }
  PGFLOW_ASSIGN_OR_RETURN(const std::string whole, schemas::WithoutBefore(content));
  return AddDdl(subject, whole, xid);
}

absl::Status StreamDecoder::AddDdl(const schemas::DdlSubject& subject, std::string_view content,
                                   postgres::Xid xid) {
  PGFLOW_ASSIGN_OR_RETURN(const bool wanted, EnterTransaction());
  if (!wanted) return absl::OkStatus();
  auto schema = std::make_shared<schemas::TableSchema>();
  schema->table = {subject.name.schema, subject.is_table ? subject.name.name : std::string()};
  schema->oid = subject.oid;
  EventRecord record;
  record.operation = Operation::kSchemaChange;
  record.table = target().TableIndex(std::move(schema));
  AddTuple(content, record.after_offset, record.after_size);
  return EndChange(record, xid);
}

absl::Status StreamDecoder::TakeCapturedRows(std::string_view content, postgres::Xid xid) {
  PGFLOW_ASSIGN_OR_RETURN(const CapturedRows rows, ReadCapturedRows(content));
  if (!relations_.Publishes(rows.publications)) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(const postgres::PgoutputMessage decoded,
                          postgres::DecodePgoutput(rows.relation, false));
  const auto& relation = std::get<postgres::RelationMessage>(decoded);
  PGFLOW_RETURN_IF_ERROR(TakeRelation(relation, xid));
  EventRecord record;
  if (rows.replaces && rows.first) {
    PGFLOW_ASSIGN_OR_RETURN(const bool wanted, BeginChange(relation.relation, record.table));
    if (!wanted) return absl::OkStatus();
    record.operation = Operation::kTruncate;
    record.truncate_flags = engine::kTruncateDone;
    PGFLOW_RETURN_IF_ERROR(EndChange(record, xid));
  }
  for (const std::string& tuple : rows.tuples) {
    record = {};
    PGFLOW_ASSIGN_OR_RETURN(const bool wanted, BeginChange(relation.relation, record.table));
    if (!wanted) return absl::OkStatus();
    record.operation = rows.operation;
    AddTuple(tuple, record.after_offset, record.after_size);
    PGFLOW_RETURN_IF_ERROR(EndChange(record, xid));
  }
  return absl::OkStatus();
}

absl::Status StreamDecoder::TakeStreamStart(const postgres::StreamStartMessage& message) {
  if (state_ != State::kBetween) return Unexpected("StreamStart", "inside a transaction");
  state_ = State::kInStream;
  top_xid_ = message.xid;
  last_relation_ = 0;  // Indexes belong to another chunk from here on.
  open_.try_emplace(top_xid_);
  if (telemetry_ != nullptr) telemetry_->open_transactions.store(open_.size());
  return absl::OkStatus();
}

absl::Status StreamDecoder::TakeStreamStop() {
  PGFLOW_RETURN_IF_ERROR(PublishOpen());
  state_ = State::kBetween;
  last_relation_ = 0;
  return absl::OkStatus();
}

absl::Status StreamDecoder::TakeStreamCommit(const postgres::StreamCommitMessage& message) {
  if (state_ != State::kBetween) return Unexpected("StreamCommit", "inside a transaction");
  // What committed before it goes before it.
  PGFLOW_RETURN_IF_ERROR(Publish());
  last_end_ = message.end_lsn;
  relations_.Settle(message.xid, true);
  auto open = open_.extract(message.xid);
  if (telemetry_ != nullptr) telemetry_->open_transactions.store(open_.size());
  if (open.empty() || !open.mapped().appended) return absl::OkStatus();
  if (message.commit_lsn <= known_) {
    out_.DropOpen(message.xid);
    return absl::OkStatus();
  }
  if (!open.mapped().aborted.empty()) {
    const std::vector<Oid> described(open.mapped().described.begin(),
                                     open.mapped().described.end());
    PGFLOW_RETURN_IF_ERROR(relations_.ConfirmDefinitions(described));
  }
  if (telemetry_ != nullptr) telemetry_->transactions.fetch_add(1, std::memory_order_relaxed);
  return out_.CommitOpen(message.xid,
                         {.xid = message.xid,
                          .commit_lsn = message.commit_lsn,
                          .end_lsn = message.end_lsn,
                          .commit_time = message.commit_time,
                          .begins = true,
                          .ends = true,
                          .origin = open.mapped().origin},
                         open.mapped().aborted);
}

absl::Status StreamDecoder::TakeStreamAbort(const postgres::StreamAbortMessage& message) {
  if (state_ != State::kBetween) return Unexpected("StreamAbort", "inside a transaction");
  const auto open = open_.find(message.xid);
  if (open == open_.end()) return absl::OkStatus();
  if (message.subtransaction != message.xid) {
    open->second.aborted.push_back(message.subtransaction);
    relations_.ForgetSubtransaction({message.xid, message.subtransaction});
    return absl::OkStatus();
  }
  relations_.Settle(message.xid, false);
  if (open->second.appended) out_.DropOpen(message.xid);
  open_.erase(open);
  if (telemetry_ != nullptr) telemetry_->open_transactions.store(open_.size());
  return absl::OkStatus();
}

absl::Status StreamDecoder::Flush() {
  // The start of a transaction alone may wait for its end, which is what sinks wait for; whole
  // transactions before it may not.
  if (chunk_.transactions.empty()) return absl::OkStatus();
  if (chunk_.transactions.size() == 1 && span_open_) return absl::OkStatus();
  return Publish();
}

absl::Status StreamDecoder::Publish() {
  if (chunk_.transactions.empty()) return absl::OkStatus();
  Count(chunk_);
  const size_t bytes = chunk_.bytes.size();
  const size_t records = chunk_.records.size();
  absl::Status appended = out_.Append(std::move(chunk_));
  StartOver(chunk_, bytes, records);
  span_open_ = false;
  last_relation_ = 0;
  return appended;
}

absl::Status StreamDecoder::PublishOpen() {
  if (open_chunk_.records.empty()) return absl::OkStatus();
  Count(open_chunk_);
  const size_t bytes = open_chunk_.bytes.size();
  const size_t records = open_chunk_.records.size();
  open_[top_xid_].appended = true;
  absl::Status appended = out_.AppendOpen(top_xid_, std::move(open_chunk_));
  StartOver(open_chunk_, bytes, records);
  last_relation_ = 0;
  return appended;
}

void StreamDecoder::Count(const Chunk& chunk) {
  if (telemetry_ == nullptr) return;
  telemetry_->events.fetch_add(chunk.records.size(), std::memory_order_relaxed);
  telemetry_->bytes.fetch_add(chunk.bytes.size(), std::memory_order_relaxed);
}

}  // namespace pgflow::sources
