// Chunk: a run of received stream messages with an index, the unit that the spool keeps.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/api/change_event.h"

namespace pgflow::engine {

// One change in a chunk. Plain bytes, so that the spool can write and read the index as it is.
struct EventRecord {
  uint32_t table = 0;          // Index in Chunk::tables.
  uint32_t xid = 0;            // The (sub)transaction that made it: dropped when that one aborts.
  uint32_t transaction = 0;    // Index in Chunk::transactions; 0 in an open transaction's chunk.
  uint32_t before_offset = 0;  // Of the TupleData in Chunk::bytes.
  uint32_t before_size = 0;    // 0: no before image.
  uint32_t after_offset = 0;   // A schema change: of its message.
  uint32_t after_size = 0;
  Operation operation = Operation::kInsert;
  BeforeImage before_image = BeforeImage::kNone;
  uint8_t truncate_flags = 0;  // kTruncate*.
  uint8_t replayed = 0;        // 1: the event is catch_up, whatever its table has to wait for.
};
inline constexpr uint8_t kTruncateCascade = 1;
inline constexpr uint8_t kTruncateRestartIdentity = 2;
inline constexpr uint8_t kTruncateMore = 4;
inline constexpr uint8_t kTruncateDone = 8;

// Built by a source on its own thread, immutable afterwards, then shared. `transactions` is empty
// for a chunk of an open (streamed) transaction: they are known when it commits. Tuples in `bytes`
// have passed RowView::ValidateTuple.
struct Chunk {
  std::string bytes;
  std::vector<EventRecord> records;
  std::vector<TransactionSpan> transactions;
  std::vector<schemas::TableSchemaPtr> tables;

  uint64_t MemoryBytes() const {
    return bytes.capacity() + records.capacity() * sizeof(EventRecord) +
           transactions.capacity() * sizeof(TransactionSpan);
  }
  // The index of `table` in `tables`, added when it is not there. Compares pointers.
  uint32_t TableIndex(const schemas::TableSchemaPtr& table);
};

}  // namespace pgflow::engine
