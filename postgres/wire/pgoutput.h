// pgoutput: the messages of logical replication, protocol versions 1 to 4.
//
// Written from "Logical Replication Message Formats" in the chapter "Frontend/Backend Protocol" of
// the PostgreSQL manual. Pure functions of bytes; every view points into the message that was
// decoded and is valid as long as it. Decoding allocates nothing unless it fails.
//
// Errors: kDataLoss, with the message's kind, size and what is wrong. A cut message, an unknown
// kind and bytes behind the end are all refused: they mean that both sides disagree about the
// protocol.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "postgres/types/lsn.h"
#include "postgres/types/oid.h"

namespace pgflow::postgres {

// In messages below, `xid` of Relation, Type, Message, Insert, Update, Delete and Truncate is the
// (sub)transaction that made the change, inside a stream block; 0 outside.

struct BeginMessage {  // 'B'
  Lsn commit_lsn;      // Start of the transaction's COMMIT record.
  absl::Time commit_time;
  Xid xid = 0;
};

struct CommitMessage {  // 'C'
  Lsn commit_lsn;
  Lsn end_lsn;  // Just behind the COMMIT record.
  absl::Time commit_time;
};

struct OriginMessage {  // 'O'
  Lsn commit_lsn;       // On the origin server.
  std::string_view name;
};

struct RelationColumn {
  bool key = false;  // Part of the replica identity.
  std::string_view name;
  Oid type = 0;
  int32_t type_modifier = -1;
};

struct RelationMessage {  // 'R'
  Xid xid = 0;
  Oid relation = 0;
  std::string_view schema;  // Empty for pg_catalog.
  std::string_view name;
  char replica_identity = 'd';
  uint16_t column_count = 0;
  std::string_view columns;  // As on the wire, validated.

  std::vector<RelationColumn> Columns() const;
};

struct TypeMessage {  // 'Y'
  Xid xid = 0;
  Oid type = 0;
  std::string_view schema;  // Empty for pg_catalog.
  std::string_view name;
};

// Tuples are raw TupleData, validated to their last byte.
struct InsertMessage {  // 'I'
  Xid xid = 0;
  Oid relation = 0;
  std::string_view after;
};

enum class OldTuple : uint8_t {
  kNone,
  kKey,   // 'K': the identity's columns, the others as NULL.
  kFull,  // 'O': the whole row; REPLICA IDENTITY FULL.
};

struct UpdateMessage {  // 'U'
  Xid xid = 0;
  Oid relation = 0;
  OldTuple before_kind = OldTuple::kNone;
  std::string_view before;
  std::string_view after;
};

struct DeleteMessage {  // 'D'
  Xid xid = 0;
  Oid relation = 0;
  OldTuple before_kind = OldTuple::kKey;
  std::string_view before;
};

struct TruncateMessage {  // 'T'
  Xid xid = 0;
  bool cascade = false;
  bool restart_identity = false;
  std::string_view relations;  // OIDs as on the wire.

  size_t relation_count() const { return relations.size() / sizeof(Oid); }
  Oid relation(size_t index) const;
};

struct LogicalMessage {  // 'M': pg_logical_emit_message
  Xid xid = 0;
  bool transactional = false;
  Lsn lsn;
  std::string_view prefix;
  std::string_view content;
};

struct StreamStartMessage {  // 'S', protocol 2
  Xid xid = 0;               // Top-level transaction.
  bool first_segment = false;
};

struct StreamStopMessage {};  // 'E'

struct StreamCommitMessage {  // 'c'
  Xid xid = 0;
  Lsn commit_lsn;
  Lsn end_lsn;
  absl::Time commit_time;
};

struct StreamAbortMessage {  // 'A'
  Xid xid = 0;
  Xid subtransaction = 0;  // The same as `xid` when all of it was rolled back.
  Lsn abort_lsn;           // Protocol 4 with streaming = parallel; else 0.
  absl::Time abort_time;   // The same; else the epoch of Unix.
};

struct BeginPrepareMessage {  // 'b', protocol 3
  Lsn prepare_lsn;
  Lsn end_lsn;
  absl::Time prepare_time;
  Xid xid = 0;
  std::string_view gid;
};

struct PrepareMessage {  // 'P', and 'p' for a streamed transaction
  bool streamed = false;
  Lsn prepare_lsn;
  Lsn end_lsn;
  absl::Time prepare_time;
  Xid xid = 0;
  std::string_view gid;
};

struct CommitPreparedMessage {  // 'K'
  Lsn commit_lsn;
  Lsn end_lsn;
  absl::Time commit_time;
  Xid xid = 0;
  std::string_view gid;
};

struct RollbackPreparedMessage {  // 'r'
  Lsn prepare_end_lsn;
  Lsn rollback_end_lsn;
  absl::Time prepare_time;
  absl::Time rollback_time;
  Xid xid = 0;
  std::string_view gid;
};

// Data messages first: they are the ones that count.
using PgoutputMessage =
    std::variant<InsertMessage, UpdateMessage, DeleteMessage, TruncateMessage, BeginMessage,
                 CommitMessage, RelationMessage, TypeMessage, OriginMessage, LogicalMessage,
                 StreamStartMessage, StreamStopMessage, StreamCommitMessage, StreamAbortMessage,
                 BeginPrepareMessage, PrepareMessage, CommitPreparedMessage,
                 RollbackPreparedMessage>;

// `in_stream`: between a StreamStart and its StreamStop, where changes carry their xid. The caller
// knows: it saw the StreamStart. A second StreamStart inside, a StreamStop outside, and messages
// that end or begin a transaction inside a block are refused.
absl::StatusOr<PgoutputMessage> DecodePgoutput(std::string_view message, bool in_stream);

// The size of the TupleData at the start of `bytes`: int16 count, then for each column 'n' (NULL),
// 'u' (unchanged TOAST), or 't' (text) or 'b' (binary) with int32 size and bytes. Nothing when it
// is cut or malformed.
std::optional<size_t> TupleDataSize(std::string_view bytes);

}  // namespace pgflow::postgres
