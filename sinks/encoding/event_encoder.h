// EventEncoder: the messages that an event becomes, in the encoding that the user chose. What all
// sinks that send messages share.
//
// One thread; each lane of a sink has its own. Errors: kDataLoss when a row does not fit its
// schema; those of EventFormat.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "base/config/config_spec.h"
#include "engine/api/batch.h"
#include "sinks/encoding/avro_format.h"
#include "sinks/encoding/change_rows.h"
#include "sinks/encoding/cloud_events_format.h"
#include "sinks/encoding/debezium_format.h"
#include "sinks/encoding/event_format.h"
#include "sinks/encoding/key_choice.h"
#include "sinks/encoding/schema_ids.h"
#include "sinks/encoding/schema_plans.h"

namespace pgflow::sinks {

enum class Encoding { kJson, kDebezium, kCloudEvents, kAvro };

struct EncodingConfig {
  Encoding format = Encoding::kJson;
  bool relations = false;
  std::vector<KeyConfig> keys;
  DebeziumConfig debezium;
  CloudEventsConfig cloudevents;
  AvroConfig avro;
};

config::ConfigSpec<EncodingConfig> EncodingSpec();

// How messages find their place where they go to.
enum class Placement {
  kInOrder,              // One after the other: an event is one message.
  kByKey,                // By key: an update whose key changed ends the old one and begins the new.
  kByKeyWithTombstones,  // The same, and a message without value follows what ends a key.
};

struct EncoderOptions {
  std::string pipeline;
  std::string database;  // The source's; empty when it is not known.
  Placement placement = Placement::kInOrder;
  // Of the registry that the sink has; null: none, so that the format avro is refused.
  SchemaIds* schema_ids = nullptr;
  // The sink sends keys and headers: messages of an outbox are sent as they are.
  bool has_headers = false;
};

struct EncodedMessage {
  std::string_view key;                                      // Meaningless unless `keyed`.
  std::string_view value;                                    // Empty for a tombstone.
  engine::Operation operation = engine::Operation::kInsert;  // What the value says.
  bool keyed = false;
  bool tombstone = false;
  // Of the halves of an update whose key changed: the key of the other one. Only as Debezium.
  std::string_view other_key;
  std::span<const MessageHeader> headers;  // That the format needs, or an outbox asks for.
};

class EventEncoder {
 public:
  // kInvalidArgument: a mistake in the configuration.
  static absl::StatusOr<std::unique_ptr<EventEncoder>> Make(const EncodingConfig& config,
                                                            const EncoderOptions& options);

  EventEncoder(std::unique_ptr<EventFormat> format, KeyChoice keys, Placement placement,
               bool has_headers)
      : format_(std::move(format)),
        keys_(std::move(keys)),
        placement_(placement),
        has_headers_(has_headers) {}

  // Of the letters c, u, d, t. kInvalidArgument: another one.
  absl::Status Skip(std::span<const std::string> letters);

  // Before the first event of each batch.
  void StartBatch() {
    key_plans_.StartBatch();
    format_->StartBatch();
  }

  // Where the next events go, for formats that have to know.
  void SetTopic(std::string_view topic) { format_->SetTopic(topic); }
  // Whose next message the next ones are; null: nobody counts.
  void Follow(TransactionMonitor* transactions) { transactions_ = transactions; }
  bool IsDebezium() const { return format_->IsDebezium(); }
  // What the next rows of a snapshot are in it; the text must outlive their encoding.
  void SetSnapshotMark(std::string_view mark) { format_->SetSnapshotMark(mark); }
  // The format leaves such a change out: Encode gives no message.
  bool Skips(engine::Operation operation) const {
    return (skipped_ & (1U << static_cast<unsigned>(operation))) != 0;
  }
  absl::StatusOr<EncodedMessage> EncodeTransaction(const TransactionNote& note);
  // One message; up to four by key. Views into this encoder: valid until its next call.
  absl::StatusOr<std::span<const EncodedMessage>> Encode(const engine::Batch& batch,
                                                         const engine::ChangeEvent& event);

 private:
  struct KeyPlan {
    std::vector<size_t> columns;
    bool in_identity = true;  // A before image of kind kKey has all of them.
  };
  // Where a message is in buffer_.
  struct Piece {
    size_t key = 0;
    size_t value = 0;
    size_t end = 0;
    engine::Operation operation = engine::Operation::kInsert;
    bool keyed = false;
    bool tombstone = false;
    size_t headers = 0;  // Where they are in headers_.
    size_t headers_end = 0;
  };

  // A message that an application wrote.
  absl::Status EncodeOutbox(const engine::ChangeEvent& event);
  absl::Status EncodeRow(const engine::Batch& batch, const engine::ChangeEvent& event);
  absl::Status Append(const engine::Batch& batch, const engine::ChangeEvent& event,
                      const Change& change, const KeyPlan& plan);
  void AppendTombstone();

  const std::unique_ptr<EventFormat> format_;
  const KeyChoice keys_;
  const Placement placement_;
  TransactionMonitor* transactions_ = nullptr;
  const bool has_headers_;
  unsigned skipped_ = 0;      // A bit for each operation.
  bool key_changed_ = false;  // The first and the last piece are halves of one update.
  size_t old_key_ = 0;        // Where their keys are in buffer_, as headers have them.
  size_t new_key_ = 0;
  size_t keys_end_ = 0;
  SchemaPlans<KeyPlan> key_plans_;
  ChangeRows rows_;
  std::string buffer_;
  std::vector<Piece> pieces_;
  std::vector<MessageHeader> headers_;
  std::vector<EncodedMessage> messages_;
};

}  // namespace pgflow::sinks
