// Batch: the unit of work. A run of snapshot rows of one table, or of stream changes in order.
#pragma once

#include <cstdint>
#include <memory>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "engine/api/change_event.h"
#include "engine/api/chunk.h"

namespace pgflow::engine {

enum class CopyFormat : uint8_t { kBinary, kText };

// A run of whole COPY rows of one table. Binary: tuples without the file header and trailer. Text:
// lines, each with its newline, in COPY's escapes.
struct CopyRows {
  schemas::TableSchemaPtr schema;
  CopyFormat format = CopyFormat::kBinary;
  std::string bytes;
  uint64_t row_count = 0;
};

// Move-only; owned by one thread at a time. Owns (or shares) every byte that its events point to.
class Batch {
 public:
  // A stream batch: `events` point into `chunk` (null: into bytes that outlive this batch) and
  // index `transactions`.
  Batch(std::shared_ptr<const Chunk> chunk, std::vector<ChangeEvent> events,
        std::vector<TransactionSpan> transactions);
  // A snapshot batch.
  explicit Batch(CopyRows rows);

  Batch(Batch&&) = default;
  Batch& operator=(Batch&&) = default;

  bool is_snapshot() const { return is_snapshot_; }
  std::span<const TransactionSpan> transactions() const { return transactions_; }

  // Unique for a stream event. The rows of a snapshot share the position of their snapshot: what
  // the stream brings of them later is not before it.
  Position PositionOf(const ChangeEvent& event) const {
    if (is_snapshot_) return {snapshot_lsn_, 0};
    return {transactions_[event.transaction].commit_lsn, event.ordinal};
  }
  // By the runtime, before anybody else sees the batch.
  void set_snapshot_lsn(postgres::Lsn lsn) { snapshot_lsn_ = lsn; }
  // The transaction that was the next to begin at the snapshot; 0: not known.
  uint64_t snapshot_xid() const { return snapshot_xid_; }
  void set_snapshot_xid(uint64_t xid) { snapshot_xid_ = xid; }

  // The rows as received, for a snapshot batch whose rows no transformer touched; else null.
  // The schema may have been replaced (renamed tables and columns).
  const CopyRows* raw_rows() const { return raw_ ? &rows_ : nullptr; }

  // All events. For a snapshot batch the index is built at the first call (kDataLoss when the rows
  // are malformed); for a stream batch this never fails.
  absl::StatusOr<std::span<const ChangeEvent>> Events();
  // The same, to change or remove: a snapshot batch loses its raw rows.
  absl::StatusOr<std::vector<ChangeEvent>*> MutableEvents();

  // The same rows with other values in them, in the same format. Needs raw_rows().
  void ReplaceRawRows(std::string bytes);
  // Replaces the schema of the raw rows and keeps them: same columns, other names. Needs
  // raw_rows().
  void ReplaceRawSchema(schemas::TableSchemaPtr schema);
  // What form the values of a snapshot's rows have.
  CopyFormat snapshot_format() const { return rows_.format; }

  // Keeps a schema alive as long as this batch, for events that point to it.
  void KeepAlive(schemas::TableSchemaPtr schema);
  // The owner of a schema that one of this batch's events points to.
  schemas::TableSchemaPtr OwnerOf(const schemas::TableSchema* schema) const;

  // Memory that lives as long as the batch.
  std::string_view Store(std::string_view bytes);
  std::span<schemas::Value> NewValues(size_t count);

  uint64_t row_count() const { return raw_ ? rows_.row_count : events_.size(); }
  uint64_t byte_count() const {
    if (is_snapshot_) return rows_.bytes.size();
    return chunk_ == nullptr ? 0 : chunk_->bytes.size();
  }

 private:
  absl::Status IndexRows();
  absl::Status IndexTextLine(std::string_view line);
  std::pmr::monotonic_buffer_resource& arena();

  bool is_snapshot_;
  bool raw_ = false;      // Snapshot rows are still as received.
  bool indexed_ = false;  // events_ is filled.
  std::shared_ptr<const Chunk> chunk_;
  CopyRows rows_;
  postgres::Lsn snapshot_lsn_;  // Where the snapshot stands in the log.
  uint64_t snapshot_xid_ = 0;
  std::vector<ChangeEvent> events_;
  std::vector<TransactionSpan> transactions_;
  std::vector<schemas::TableSchemaPtr> kept_;
  std::unique_ptr<std::pmr::monotonic_buffer_resource> arena_;
};

}  // namespace pgflow::engine
