#include "kafka/consumer.h"

#include <algorithm>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "base/status.h"
#include "kafka/client.h"

namespace pgflow::kafka {
namespace {

constexpr absl::Duration kMetadataPatience = absl::Seconds(1);

// Where a partition begins is asked of its leader, and as long as the library does not know the
// leader it looks each half second only. Who it is comes with the topic's metadata; without an
// answer the library goes on by itself.
void LearnLeaders(rd_kafka_t* client, const std::string& topic) {
  const Owned<rd_kafka_topic_t> handle(rd_kafka_topic_new(client, topic.c_str(), nullptr));
  if (handle == nullptr) return;
  const rd_kafka_metadata_t* metadata = nullptr;
  const auto wait_ms = static_cast<int>(absl::ToInt64Milliseconds(kMetadataPatience));
  rd_kafka_metadata(client, 0, handle.get(), &metadata, wait_ms);
  const Owned<const rd_kafka_metadata_t> answer(metadata);  // Null without one.
}

}  // namespace

struct Consumer::Current {
  Owned<rd_kafka_message_t> message;
};

Consumer::Consumer(std::unique_ptr<Client> client)
    : client_(std::move(client)), current_(std::make_unique<Current>()) {}

Consumer::~Consumer() {
  current_.reset();
  rd_kafka_consumer_close(client_->handle());
}

absl::StatusOr<std::unique_ptr<Consumer>> Consumer::Make(const Settings& settings,
                                                         Isolation isolation) {
  Settings all = settings;
  // Needed by the library, used by nobody: partitions are assigned and offsets not stored.
  all["group.id"] = "pgflow";
  all["enable.auto.commit"] = "false";
  all["enable.partition.eof"] = "true";
  all.try_emplace("auto.offset.reset", "earliest");
  all["isolation.level"] =
      isolation == Isolation::kReadCommitted ? "read_committed" : "read_uncommitted";
  PGFLOW_ASSIGN_OR_RETURN(
      std::unique_ptr<Client> client,
      Client::Make(RD_KAFKA_CONSUMER, all, std::function<void(rd_kafka_conf_t*)>()));
  rd_kafka_poll_set_consumer(client->handle());
  return std::unique_ptr<Consumer>(new Consumer(std::move(client)));
}

absl::Status Consumer::Assign(const std::string& topic,
                              std::span<const PartitionOffset> partitions) {
  if (std::ranges::find(partitions, 0, &PartitionOffset::offset) != partitions.end()) {
    LearnLeaders(client_->handle(), topic);
  }
  const Owned<rd_kafka_topic_partition_list_t> list(
      rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const PartitionOffset& partition : partitions) {
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition.partition)->offset =
        partition.offset == 0 ? RD_KAFKA_OFFSET_BEGINNING : partition.offset;
  }
  const rd_kafka_resp_err_t code = rd_kafka_assign(client_->handle(), list.get());
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return absl::OkStatus();
  return ErrorStatus(code, fmt::format("read topic {}", topic), "");
}

absl::StatusOr<Polled> Consumer::Poll(absl::Duration wait) {
  Polled polled;
  current_->message.reset(
      rd_kafka_consumer_poll(client_->handle(), static_cast<int>(absl::ToInt64Milliseconds(wait))));
  const rd_kafka_message_t* message = current_->message.get();
  if (message == nullptr) {
    if (client_->connection_error().code() == absl::StatusCode::kUnauthenticated) {
      return client_->connection_error();
    }
    return polled;
  }
  polled.record.partition = message->partition;
  polled.record.offset = message->offset;
  if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    polled.kind = Polled::Kind::kEnd;
    return polled;
  }
  // The group that the library wants does nothing, so it need not be allowed.
  if (message->err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED) return polled;
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    const char* topic = message->rkt == nullptr ? "" : rd_kafka_topic_name(message->rkt);
    return ErrorStatus(message->err, fmt::format("read topic {}", topic),
                       rd_kafka_message_errstr(message));
  }
  polled.kind = Polled::Kind::kRecord;
  Record& record = polled.record;
  record.timestamp_ms = rd_kafka_message_timestamp(message, nullptr);
  record.has_key = message->key != nullptr;
  record.has_value = message->payload != nullptr;
  if (record.has_key) record.key = {static_cast<const char*>(message->key), message->key_len};
  if (record.has_value) {
    record.value = {static_cast<const char*>(message->payload), message->len};
  }
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    record.headers.reserve(rd_kafka_header_cnt(headers));
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0; ++i) {
      record.headers.emplace_back(name, std::string_view(static_cast<const char*>(value), size));
    }
  }
  return polled;
}

std::optional<int64_t> Consumer::KnownEnd(const std::string& topic, int32_t partition) const {
  int64_t low = 0;
  int64_t high = 0;
  const rd_kafka_resp_err_t code =
      rd_kafka_get_watermark_offsets(client_->handle(), topic.c_str(), partition, &low, &high);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR || high < 0) return std::nullopt;
  return high;
}

absl::StatusOr<Consumer::Bounds> Consumer::AskBounds(const std::string& topic, int32_t partition,
                                                     absl::Duration patience,
                                                     std::stop_token stop) const {
  Bounds bounds;
  PGFLOW_RETURN_IF_ERROR(client_->Persist(
      fmt::format("topic {}, partition {}", topic, partition), absl::Now() + patience, stop,
      [&](int step_ms) -> rd_kafka_error_t* {
        const rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(
            client_->handle(), topic.c_str(), partition, &bounds.first, &bounds.end, step_ms);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return nullptr;
        const bool silent = code == RD_KAFKA_RESP_ERR__TRANSPORT;
        return rd_kafka_error_new(silent ? RD_KAFKA_RESP_ERR__TIMED_OUT : code, "%s",
                                  rd_kafka_err2str(code));
      }));
  return bounds;
}

}  // namespace pgflow::kafka
