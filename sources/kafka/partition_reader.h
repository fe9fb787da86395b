// PartitionReader: one run through a partition, from an offset on: messages to chunks.
//
// One thread. Everything given must outlive it. A row is held back in one case only: the deletion
// of a key that an update changed, until it shows whether the row goes on under its new key here.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>

#include <absl/status/status.h>

#include "engine/api/stream_writer.h"
#include "engine/api/telemetry.h"
#include "kafka/consumer.h"
#include "sources/kafka/message_decoder.h"
#include "sources/kafka/partition_link.h"

namespace pgflow::sources {

class PartitionReader {
 public:
  struct Options {
    const kafka::Settings& settings;
    MessageFormat format = MessageFormat::kJson;
    const std::string& unavailable_value;
    bool repeats = false;
    bool only_partition = true;  // Of its topic.
    PartitionLink& link;
    std::atomic<int64_t>& end;  // Set to the partition's end, as far as it is known.
    engine::SourceTelemetry* telemetry = nullptr;
    int64_t start = 0;
  };
  PartitionReader(Options options, engine::StreamWriter& out);

  // Until `stop` (kCancelled) or an error. kFailedPrecondition, kDataLoss: a message is unreadable.
  absl::Status Run(const std::stop_token& stop);

 private:
  struct Held {
    DecodedMessage message;
    int64_t offset = 0;
  };

  absl::Status Step(const std::stop_token& stop);
  absl::Status Take(const kafka::Record& record, const std::stop_token& stop);
  absl::Status TakeRow(int64_t offset);
  absl::Status TakeTruncate(int64_t offset, const std::stop_token& stop);
  // Returns when `done` says so.
  template <typename Done>
  static absl::Status Await(const Done& done, const std::stop_token& stop);
  absl::Status AwaitDurable(const std::stop_token& stop);
  absl::Status ReleaseHeld();
  absl::Status Emit(const DecodedMessage& message, int64_t offset);
  absl::Status Flush();
  absl::Status OnEnd(int64_t offset);

  const Options options_;
  engine::StreamWriter& out_;
  std::unique_ptr<kafka::Consumer> consumer_;
  std::unique_ptr<MessageDecoder> decoder_;
  DecodedMessage message_;
  std::optional<Held> held_;
  engine::Chunk chunk_;
  int64_t emitted_ = -1;  // The last offset that went out in this run.
};

}  // namespace pgflow::sources
