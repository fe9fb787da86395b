// Producer: messages into topics, idempotent or in transactions.
//
// One thread at a time. Memory is bounded by "queue.buffering.max.kbytes": Send waits when it is
// full. Every wait looks at its stop_token at least every second, also while brokers are silent.
// Keyed messages go to the partition that Java's clients choose (kafka/partitioner.h); those
// without a key all go to one partition of their topic, so that they keep their order.
//
// After an error of anything but Send's own refusal the producer is to be destroyed: the next one
// of the same transactional.id aborts what it left open. Errors: kafka/client.h lists the codes;
// kCancelled after a stop.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "kafka/settings.h"

namespace pgflow::kafka {

class Client;

struct Header {
  const char* name = "";
  std::string_view value;
};

inline constexpr int32_t kPartitionByKey = -1;

// Bytes are copied by Send.
struct Message {
  size_t topic = 0;  // From TopicIndex.
  int32_t partition = kPartitionByKey;
  bool has_key = false;
  bool has_value = false;  // False: a tombstone.
  std::string_view key;
  std::string_view value;
  std::span<const Header> headers;
  uint64_t tag = 0;  // The caller's; comes back in a failure.
};

// The first message that a broker refused or that could not be delivered in time.
struct DeliveryFailure {
  uint64_t tag = 0;
  std::string topic;
  uint64_t bytes = 0;  // Key and value.
  absl::Status error;
};

class Producer {
 public:
  struct Options {
    Settings settings;
    std::string transactional_id;                 // Empty: idempotent.
    absl::Duration patience = absl::Seconds(30);  // With silent brokers, before kUnavailable.
  };
  // Inert: connects in the background once it is used.
  static absl::StatusOr<std::unique_ptr<Producer>> Make(Options options);
  // One that can Begin: fences off every other producer of this transactional.id and aborts its
  // open transaction.
  static absl::StatusOr<std::unique_ptr<Producer>> MakeTransactional(const Options& options,
                                                                     std::stop_token stop);
  // Aborts an open transaction, for two seconds at most.
  ~Producer();
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  // What MakeTransactional does. Once, before the first Begin.
  absl::Status InitTransactions(std::stop_token stop);
  // kAborted: worn.
  absl::Status Begin();
  // Delivers what was sent and makes it visible. After kUnavailable or kCancelled it may have been
  // committed or not; reading with read_committed after the next InitTransactions tells.
  absl::Status Commit(std::stop_token stop);
  absl::Status Abort(absl::Duration patience, std::stop_token stop);

  // A call had to be made again while brokers were silent. What the first one left behind in
  // librdkafka (2.0.2) may be carried out at any time, in the next transaction too: take another
  // producer. What was committed is committed.
  bool worn() const { return worn_; }

  // The index of a topic for Message; made when it is new.
  absl::StatusOr<size_t> TopicIndex(const std::string& topic);
  const std::string& TopicName(size_t index) const;

  // Hands over one message. kInvalidArgument with kTooLargePayload: larger than
  // "message.max.bytes", nothing was sent. Otherwise the error may be of an earlier message: see
  // `failure`.
  absl::Status Send(const Message& message, std::stop_token stop);
  // Everything that was sent is acknowledged. Not needed before Commit.
  absl::Status Flush(std::stop_token stop);
  // Asks for delivery reports without waiting: OK while all is well.
  absl::Status Poll();
  uint64_t pending() const;  // Messages without a report.

  const std::optional<DeliveryFailure>& failure() const;

 private:
  struct Topics;
  Producer(Options options, std::unique_ptr<Client> client);
  absl::Status FailureStatus() const;

  const Options options_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Topics> topics_;
  bool in_transaction_ = false;
  bool worn_ = false;
};

}  // namespace pgflow::kafka
