// StreamDecoder: from pgoutput messages to chunks and transaction ends in a StreamWriter.
//
// No I/O of its own. One thread. "out", "relations" and "telemetry" must outlive it; a new one for
// each replication session, because the server then starts over with what it did not get confirmed.
// Errors: kDataLoss for a message that makes no sense; those of the writer and of the lookup.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/chunk.h"
#include "engine/api/stream_writer.h"
#include "engine/api/telemetry.h"
#include "postgres/wire/pgoutput.h"
#include "schemas/ddl/ddl_script.h"
#include "sources/postgres/relation_lookup.h"

namespace pgflow::sources {

class StreamDecoder {
 public:
  // Transactions up to the writer's tail are skipped: it has them. `telemetry` may be null.
  StreamDecoder(engine::StreamWriter& out, RelationLookup& relations,
                engine::SourceTelemetry* telemetry);

  // From here on, transactions with a replication origin are left out: for servers that cannot
  // (before version 16). The stream must have no transactions in progress, of which the server
  // tells the origin only if their first change has one.
  void LeaveOutReplicated() { leaves_out_replicated_ = true; }

  // Logical messages with such prefixes (patterns) become rows of LogicalMessageSchema().
  void TakeMessages(std::vector<std::string> prefixes) { wanted_messages_ = std::move(prefixes); }

  absl::Status Take(std::string_view message);
  // Nothing more is there now: hands over what would only wait.
  absl::Status Flush();

  // True between Begin and Commit.
  bool in_transaction() const { return state_ == State::kInTransaction; }
  // True when everything was handed over: the position may move to what the server says.
  bool at_rest() const { return state_ == State::kBetween && chunk_.transactions.empty(); }
  // The end of the last transaction, with or without changes of ours.
  postgres::Lsn last_end() const { return last_end_; }

 private:
  enum class State { kBetween, kInTransaction, kInStream };

  struct OpenTransaction {
    std::vector<postgres::Xid> aborted;
    std::set<postgres::Oid> described;  // Tables of which it told.
    bool appended = false;              // The writer has heard of it.
    std::shared_ptr<const engine::TransactionOrigin> origin;
  };

  absl::Status TakeOrigin(const postgres::OriginMessage& message);
  absl::Status TakeBegin(const postgres::BeginMessage& message);
  absl::Status TakeCommit(const postgres::CommitMessage& message);
  absl::Status TakeRelation(const postgres::RelationMessage& message, postgres::Xid xid);
  absl::Status TakeTruncate(const postgres::TruncateMessage& message);
  absl::Status TakeMessage(const postgres::LogicalMessage& message);
  absl::Status AddMessage(const postgres::LogicalMessage& message);
  // What the DDL capture wrote (ddl_capture/). Other messages carry no row.
  absl::Status TakeLogicalMessage(std::string_view prefix, std::string_view content,
                                  postgres::Xid xid);
  absl::Status TakeDdl(std::string_view content, postgres::Xid xid);
  absl::Status AddDdl(const schemas::DdlSubject& subject, std::string_view content,
                      postgres::Xid xid);
  absl::Status TakeCapturedRows(std::string_view content, postgres::Xid xid);
  // The same as a row of pgflow.message: the way before version 14.
  absl::Status TakeMessageRow(const postgres::InsertMessage& message);
  absl::Status TakeStreamStart(const postgres::StreamStartMessage& message);
  absl::Status TakeStreamStop();
  absl::Status TakeStreamCommit(const postgres::StreamCommitMessage& message);
  absl::Status TakeStreamAbort(const postgres::StreamAbortMessage& message);

  // False: a change in a transaction that is known already.
  absl::StatusOr<bool> EnterTransaction();
  // False: the change is left out (not chosen, or known already). Sets `table` to its index.
  absl::StatusOr<bool> BeginChange(postgres::Oid relation, uint32_t& table);
  absl::Status EndChange(engine::EventRecord record, postgres::Xid xid);
  void AddTuple(std::string_view tuple, uint32_t& offset, uint32_t& size);
  // What changes are added to now.
  engine::Chunk& target() { return state_ == State::kInStream ? open_chunk_ : chunk_; }
  absl::Status Publish();      // chunk_.
  absl::Status PublishOpen();  // open_chunk_.
  void Count(const engine::Chunk& chunk);

  engine::StreamWriter& out_;
  RelationLookup& relations_;
  engine::SourceTelemetry* telemetry_;
  const postgres::Lsn known_;  // Commits up to here are in the log.
  bool leaves_out_replicated_ = false;
  std::vector<std::string> wanted_messages_;
  const schemas::TableSchemaPtr message_schema_;
  State state_ = State::kBetween;
  postgres::Lsn last_end_;

  engine::Chunk chunk_;              // Committed transactions, the last one perhaps in part.
  engine::TransactionSpan current_;  // Between Begin and Commit.
  bool skipping_ = false;            // The current transaction is known already, or left out.
  bool started_ = false;             // The current transaction had a change.
  bool span_open_ = false;           // The last span of chunk_ is the current transaction.
  engine::Chunk open_chunk_;         // Of the stream block that is being received.
  postgres::Xid top_xid_ = 0;
  absl::flat_hash_map<postgres::Xid, OpenTransaction> open_;

  absl::flat_hash_map<postgres::Oid, schemas::TableSchemaPtr> tables_;
  postgres::Oid message_relation_ = 0;  // pgflow.message.
  // The table of the last change and its index in the chunk that target() gave then.
  postgres::Oid last_relation_ = 0;
  uint32_t last_table_ = 0;
};

}  // namespace pgflow::sources
