// MessageWriter: events into the messages of one producer.
//
// One thread. The sink's stream has one, and each snapshot lane. Everything given must outlive it.
// Errors: those of the encoder, TopicBook and Producer. kInvalidArgument of a stream event carries
// engine::kCulpritPayload.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/sink.h"
#include "kafka/producer.h"
#include "schemas/table_filter.h"
#include "sinks/encoding/event_encoder.h"
#include "sinks/kafka/schema_registry.h"
#include "sinks/kafka/sink_config.h"
#include "sinks/kafka/topic_book.h"

namespace pgflow::sinks {

class MessageWriter {
 public:
  // `registry` is null where the encoding needs none.
  static absl::StatusOr<std::unique_ptr<MessageWriter>> Make(
      const KafkaSinkConfig& config, const engine::SinkContext& context, TopicBook& topics,
      kafka::Producer& producer, uint64_t batch_bytes_max, SchemaRegistry* registry);

  // Sends every event that is wanted. With `rejections`, of a batch of snapshot rows, what is
  // refused here or would be by its topic is left out and goes there.
  absl::Status Append(engine::Batch& batch, std::vector<engine::Rejection>* rejections,
                      std::stop_token stop);

  // Of the next range of a snapshot: what its first and its last row are; empty: nothing. The last
  // row is kept back until FinishRange.
  void BeginRange(std::string_view first_mark, std::string_view last_mark);
  // Sends what was kept back.
  absl::Status FinishRange(std::stop_token stop);

  // What the brokers refused: names the event, its size and the limit. `status` when they did not.
  absl::Status ExplainRefusal(const absl::Status& status, std::stop_token stop);
  // Positions of what was sent so far are not asked for any more.
  void Forget() { commits_.clear(); }

  // Keys and values that were sent since the start.
  uint64_t bytes() const { return bytes_; }
  // Batches of this size are to be sent from now on: a topic refused one that may have held several
  // messages, so that nobody knows which of them was too large.
  uint64_t batch_bytes_max() const { return batch_bytes_max_; }

 private:
  struct Route {
    size_t topic = 0;
    bool wanted = false;
    uint64_t bytes_max = 0;  // Of the topic; 0: not asked.
    std::string name;
  };

  MessageWriter(const KafkaSinkConfig& config, TopicBook& topics, kafka::Producer& producer,
                schemas::TableFilter filter, std::unique_ptr<RegistryIds> ids,
                std::unique_ptr<EventEncoder> encoder, uint64_t batch_bytes_max);
  // A message that waits, with a copy of all it is made of.
  struct KeptMessage {
    Route* route = nullptr;
    uint64_t tag = 0;
    bool keyed = false;
    std::string key;
    std::string value;       // As a row among others.
    std::string last_value;  // As the last one.
    std::vector<std::pair<std::string, std::string>> headers;
  };

  // Encodes the last row of a batch both ways.
  absl::Status Keep(const engine::Batch& batch, const engine::ChangeEvent& event, uint64_t tag,
                    bool careful, const std::stop_token& stop);
  absl::Status SendKept(bool last, const std::stop_token& stop);
  // Logical messages have a topic of their own.
  absl::StatusOr<std::string> TopicOf(const schemas::TableSchema& schema,
                                      const std::stop_token& stop);
  absl::StatusOr<Route*> RouteOf(const engine::ChangeEvent& event, const std::stop_token& stop);
  absl::StatusOr<Route> MakeRoute(const std::string& topic);
  absl::StatusOr<std::string> ColumnValue(const engine::ChangeEvent& event);
  absl::Status Send(const engine::Batch& batch, const engine::ChangeEvent& event, uint64_t tag,
                    bool careful, const std::stop_token& stop);
  // Of a truncate: into every partition, as each of them may have rows of the table.
  absl::Status SendEverywhere(const Route& route, kafka::Message message,
                              const std::stop_token& stop);
  absl::Status CheckSize(Route& route, uint64_t bytes, const std::stop_token& stop);
  // Tells the beginning of the event's transaction when it is the first that is sent of it.
  absl::Status FollowTransaction(const engine::Batch& batch, const engine::ChangeEvent& event,
                                 const std::stop_token& stop);
  // Tells the ends of those of the batch's transactions that are before `limit`.
  absl::Status EndTransactions(const engine::Batch& batch, size_t limit,
                               const std::stop_token& stop);
  absl::Status SendTransaction(const TransactionNote& note, const std::stop_token& stop);
  void SetHeaders(const engine::Batch& batch, const engine::ChangeEvent& event);
  uint64_t TagOf(const engine::Batch& batch, const engine::ChangeEvent& event, size_t row);
  absl::Status TooLarge(std::string_view topic, std::string_view place, uint64_t bytes,
                        std::string_view limit, uint64_t bytes_max) const;
  std::string PlaceOf(uint64_t tag) const;

  const KafkaSinkConfig& config_;
  TopicBook& topics_;
  kafka::Producer& producer_;
  const schemas::TableFilter filter_;
  const std::unique_ptr<RegistryIds> ids_;  // Null: without a registry. The encoder's.
  const std::unique_ptr<EventEncoder> encoder_;

  std::map<schemas::TableName, Route> tables_;         // Without topic_by_column.
  std::map<std::string, Route> by_topic_;              // With it, and the topic of DDL.
  const schemas::TableSchema* last_schema_ = nullptr;  // Of this batch: its route is last_route_.
  Route* last_route_ = nullptr;

  std::optional<TransactionMonitor> transactions_;  // Nothing: not wanted.
  Route transaction_route_;
  size_t next_span_ = 0;  // Of this batch: those before have ended.

  // The commit of each transaction that a tag may speak of.
  std::vector<postgres::Lsn> commits_;
  bool snapshot_ = false;  // Tags are numbers of rows.
  uint64_t bytes_ = 0;
  uint64_t batch_bytes_max_;
  std::string position_;
  std::string transaction_;
  std::vector<kafka::Header> headers_;
  std::string_view first_mark_;
  std::string_view last_mark_;
  std::optional<KeptMessage> kept_;
  std::vector<schemas::Value> values_;
};

}  // namespace pgflow::sinks
