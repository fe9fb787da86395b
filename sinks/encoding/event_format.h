// EventFormat: one way to write changes as bytes. Used by EventEncoder, which decides what messages
// an event becomes.
//
// One thread. A virtual call a message: nanoseconds beside the hundreds that writing it takes.
// Errors: kInvalidArgument for a value that the format cannot hold; kFailedPrecondition for a table
// that does not fit the configuration.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>

#include "engine/api/batch.h"
#include "sinks/encoding/change_rows.h"
#include "sinks/encoding/transaction_monitor.h"

namespace pgflow::sinks {

// What a message says beside its key and value, where it can.
struct MessageHeader {
  std::string name;
  std::string value;
};

class EventFormat {
 public:
  virtual ~EventFormat() = default;

  // Before the first event of each batch.
  virtual void StartBatch() = 0;
  // Where the next messages go, for a format that has to know.
  virtual void SetTopic(std::string_view /*topic*/) {}
  // Of the next value, in formats that tell it; null: there is none.
  virtual void SetPlace(const TransactionPlace* /*place*/) {}
  // What the next rows of a snapshot are in it: "true", "first", "last" and the like.
  virtual void SetSnapshotMark(std::string_view /*mark*/) {}
  // The key of a row in a header of the message of another one.
  virtual absl::Status AppendKeyHeader(const Change& /*change*/,
                                       const std::vector<size_t>& /*columns*/,
                                       std::string& /*out*/) {
    return absl::InternalError("this format does not tell other keys");
  }
  // Whether it says what Debezium's connectors say beside the rows: what a transaction holds, and
  // the other key where a key changed.
  virtual bool IsDebezium() const { return false; }
  virtual absl::Status AppendTransactionKey(const TransactionNote& /*note*/, std::string& /*out*/) {
    return absl::InternalError("this format does not tell transactions");
  }
  virtual absl::Status AppendTransactionValue(const TransactionNote& /*note*/,
                                              std::string& /*out*/) {
    return absl::InternalError("this format does not tell transactions");
  }
  // False: what a key that ended is told by is a message with the key alone.
  virtual bool HasValue(const Change& /*change*/) const { return true; }
  // `columns` of the row that has the key; they are known.
  virtual absl::Status AppendKey(const Change& change, const std::vector<size_t>& columns,
                                 std::string& out) = 0;
  // Appends the headers that a message with a value needs to be read.
  virtual absl::Status AppendHeaders(const engine::Batch& /*batch*/,
                                     const engine::ChangeEvent& /*event*/, const Change& /*change*/,
                                     const std::vector<size_t>& /*key_columns*/,
                                     std::vector<MessageHeader>& /*headers*/) {
    return absl::OkStatus();
  }
  // Whether AppendHeaders has any.
  virtual bool HasHeaders() const { return false; }
  // A change of a row, or a truncate. `key_columns` is empty when there is no key.
  virtual absl::Status AppendValue(const engine::Batch& batch, const engine::ChangeEvent& event,
                                   const Change& change, const std::vector<size_t>& key_columns,
                                   std::string& out) = 0;
  virtual absl::Status AppendSchemaChange(const engine::Batch& batch,
                                          const engine::ChangeEvent& event, std::string& out) = 0;
};

}  // namespace pgflow::sinks
