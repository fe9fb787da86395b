// ChangeEvent: one change of one row, as sinks and transformers see it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <absl/time/time.h>

#include "engine/api/position.h"
#include "postgres/types/oid.h"
#include "schemas/row_view.h"
#include "schemas/table_schema.h"

namespace pgflow::engine {

enum class Operation : uint8_t {
  kRead,  // A snapshot row.
  kInsert,
  kUpdate,
  kDelete,
  kTruncate,
  kSchemaChange,  // DDL on the source; no rows.
};

// "read", "insert", ...: one word for one thing, in YAML, JSON and metrics.
std::string_view OperationName(Operation operation);

enum class BeforeImage : uint8_t {
  kNone,
  kKey,   // Only the identity columns are set; the others read as NULL.
  kFull,  // REPLICA IDENTITY FULL: the whole old row.
};

// Where a transaction came from that another replication applied to the source.
struct TransactionOrigin {
  std::string name;
  postgres::Lsn lsn;  // Of its commit there; 0: not known.
};

// The transaction that an event belongs to. A transaction larger than a batch spans several.
struct TransactionSpan {
  postgres::Xid xid = 0;  // 0: a message that waited for no commit.
  postgres::Lsn commit_lsn;
  postgres::Lsn end_lsn;
  absl::Time commit_time;
  bool begins = false;  // Its first event is (or would be) in this batch.
  bool ends = false;    // Its last one is.
  std::shared_ptr<const TransactionOrigin> origin{};  // Null: the source's own.
};

// Owns nothing; valid while its batch lives. UPDATE has no before image when the identity did not
// change and is not FULL: the key is then read from `after`.
struct ChangeEvent {
  Operation operation = Operation::kInsert;
  BeforeImage before_image = BeforeImage::kNone;
  // Replayed over rows that may already hold a later state: INSERT is an upsert, UPDATE and DELETE
  // of a missing row do nothing. A schema change may not fit any more.
  bool catch_up = false;
  // TRUNCATE only. One statement on several tables gives one event a table, one after the other;
  // `truncate_more` is set on all but the last.
  bool truncate_cascade = false;
  bool truncate_restart_identity = false;
  bool truncate_more = false;
  // The schema change before it has emptied the table already: all of its rows come anew.
  bool truncate_done = false;

  uint32_t transaction = 0;  // Index in Batch::transactions(); unused for kRead.
  uint64_t ordinal = 0;
  const schemas::TableSchema* schema = nullptr;
  schemas::RowView before;
  schemas::RowView after;

  // kSchemaChange only. What schemas::PlanDdl reads. `schema` has no columns; its table is the one
  // that changed, or has an empty name when the change is of another object in its schema.
  std::string_view ddl;
  // A transformer gives the table that changed another name or other columns.
  bool ddl_transformed = false;
};

}  // namespace pgflow::engine
