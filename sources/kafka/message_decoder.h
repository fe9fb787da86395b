// MessageDecoder: one message of a topic to the change that it stands for.
//
// One thread; a partition has its own. Errors are kDataLoss: the message is malformed, or lacks
// what the format promises; kFailedPrecondition: its writer is to be configured otherwise. Nothing
// is skipped silently.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <absl/status/status.h>
#include <absl/time/time.h>

#include "engine/api/change_event.h"
#include "schemas/table_schema.h"

namespace pgflow::sources {

// Reused from message to message.
struct DecodedMessage {
  enum class Kind { kChange, kSchemaChange };

  Kind kind = Kind::kChange;
  engine::Operation operation = engine::Operation::kInsert;  // Never kRead: a row is inserted.
  schemas::TableSchemaPtr schema;
  engine::BeforeImage before_image = engine::BeforeImage::kNone;
  std::string before;  // pgoutput's TupleData; empty: there is no such row.
  std::string after;
  bool catch_up = false;
  bool key_changed = false;    // One half of an update whose key changed.
  bool has_unchanged = false;  // `after` lacks values that were not sent.
  bool restart_identity = false;
  std::string position;  // In the first source's log; unique for an event there, not a message.
  postgres::Xid xid = 0;
  absl::Time commit_time;  // The infinite past: not said.
  std::string text;        // Of a schema change, for people.

  void Clear();
};

class MessageDecoder {
 public:
  virtual ~MessageDecoder() = default;
  // Of a message with a value. `key` is empty when it has none. `out` is undefined after an error.
  virtual absl::Status Decode(std::string_view key, std::string_view value,
                              DecodedMessage& out) = 0;
};

enum class MessageFormat { kJson, kDebezium };

// `unavailable_value`: of Debezium, what stands for a large value that an update did not touch.
std::unique_ptr<MessageDecoder> MakeMessageDecoder(MessageFormat format,
                                                   const std::string& unavailable_value);

}  // namespace pgflow::sources
