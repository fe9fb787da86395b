#include "kafka/producer.h"

#include <array>
#include <unordered_map>
#include <utility>
#include <vector>

#include <absl/time/clock.h>

#include "base/status.h"
#include "kafka/client.h"
#include "kafka/partitioner.h"

namespace pgflow::kafka {
namespace {

constexpr size_t kFieldsMax = 6;     // Beside the headers.
constexpr size_t kHeadersUsual = 8;  // More take an allocation.
constexpr absl::Duration kLastPatience = absl::Seconds(2);

void OnDelivery(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
  auto* client = static_cast<Client*>(opaque);
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR || client->failure.has_value()) return;
  // An abort purges what was in the queue: the error that led to it is the one to tell.
  if (message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
      message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
    return;
  }
  const char* topic = message->rkt == nullptr ? "" : rd_kafka_topic_name(message->rkt);
  client->failure =
      DeliveryFailure{.tag = reinterpret_cast<uintptr_t>(message->_private),
                      .topic = topic,
                      .bytes = message->len + message->key_len,
                      .error = ErrorStatus(message->err, fmt::format("topic {}", topic), "")};
}

// Without a key: all of the topic's in one place, where they keep their order. (Java scatters
// them.)
int32_t ChoosePartition(const rd_kafka_topic_t* topic, const void* key, size_t key_size,
                        int32_t count, void*, void*) {
  if (key == nullptr) return PartitionOfKey(rd_kafka_topic_name(topic), count);
  return PartitionOfKey({static_cast<const char*>(key), key_size}, count);
}

void SetCallbacks(rd_kafka_conf_t* conf) {
  rd_kafka_conf_set_dr_msg_cb(conf, &OnDelivery);
  rd_kafka_topic_conf_set_partitioner_cb(rd_kafka_conf_get_default_topic_conf(conf),
                                         &ChoosePartition);
}

void* Bytes(std::string_view bytes) {
  // Null means that there is none.
  return const_cast<char*>(bytes.data() == nullptr ? "" : bytes.data());
}

}  // namespace

struct Producer::Topics {
  struct Topic {
    std::string name;
    Owned<rd_kafka_topic_t> handle;
  };
  std::vector<Topic> all;
  std::unordered_map<std::string, size_t> by_name;
};

Producer::Producer(Options options, std::unique_ptr<Client> client)
    : options_(std::move(options)),
      client_(std::move(client)),
      topics_(std::make_unique<Topics>()) {}

// An open transaction is aborted where the brokers allow: readers need not wait for its time limit,
// and librdkafka 2.0.2 asserts when it registers a partition with a transaction while it ends.
Producer::~Producer() {
  if (in_transaction_) static_cast<void>(Abort(kLastPatience, {}));
  topics_.reset();
  // What is still queued is not wanted any more; without this the end waits for silent brokers.
  rd_kafka_purge(client_->handle(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                        RD_KAFKA_PURGE_F_NON_BLOCKING);
}

absl::StatusOr<std::unique_ptr<Producer>> Producer::Make(Options options) {
  Settings settings = options.settings;
  settings["enable.idempotence"] = "true";
  // Implied by it. Said, because the library has no topic settings before the first one is set.
  settings["acks"] = "all";
  // The library's flush, which a commit begins with, wakes for reports: without those of success it
  // looks at its queue every 10 ms only.
  settings["delivery.report.only.error"] = "false";
  if (!options.transactional_id.empty()) settings["transactional.id"] = options.transactional_id;
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<Client> client,
                          Client::Make(RD_KAFKA_PRODUCER, settings, &SetCallbacks));
  return std::unique_ptr<Producer>(new Producer(std::move(options), std::move(client)));
}

absl::StatusOr<std::unique_ptr<Producer>> Producer::MakeTransactional(const Options& options,
                                                                      std::stop_token stop) {
  const absl::Time deadline = absl::Now() + options.patience;
  while (true) {
    PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<Producer> producer, Make(options));
    PGFLOW_RETURN_IF_ERROR(producer->InitTransactions(stop));
    if (!producer->worn()) return producer;
    if (absl::Now() > deadline) {
      return base::MakeStatus(absl::StatusCode::kUnavailable,
                              "transactional id {}: the brokers take too long to answer",
                              options.transactional_id);
    }
  }
}

absl::Status Producer::InitTransactions(std::stop_token stop) {
  const absl::Status status = client_->Persist(
      fmt::format("transactional id {}", options_.transactional_id),
      absl::Now() + options_.patience, stop,
      [this](int step_ms) { return rd_kafka_init_transactions(client_->handle(), step_ms); });
  worn_ = client_->resumed();
  return status;
}

absl::Status Producer::Begin() {
  if (worn_) {
    return base::MakeStatus(absl::StatusCode::kAborted,
                            "the brokers were slow to commit: going on with a new producer");
  }
  const Owned<rd_kafka_error_t> error(rd_kafka_begin_transaction(client_->handle()));
  if (error != nullptr) return ErrorStatus(*error, "begin a transaction");
  in_transaction_ = true;
  return absl::OkStatus();
}

absl::Status Producer::FailureStatus() const {
  return client_->failure.has_value() ? client_->failure->error : absl::OkStatus();
}

absl::Status Producer::Commit(std::stop_token stop) {
  const absl::Status status =
      client_->Persist("commit a transaction", absl::Now() + options_.patience, stop,
                       [this](int step_ms) -> rd_kafka_error_t* {
                         if (client_->failure.has_value()) {
                           return rd_kafka_error_new(RD_KAFKA_RESP_ERR__FAIL, "%s", "failed");
                         }
                         return rd_kafka_commit_transaction(client_->handle(), step_ms);
                       });
  if (status.ok()) in_transaction_ = false;
  worn_ = client_->resumed();
  // A message that failed says more than the transaction that it brought down.
  if (!status.ok() && client_->failure.has_value()) return FailureStatus();
  return status;
}

absl::Status Producer::Abort(absl::Duration patience, std::stop_token stop) {
  worn_ = true;
  const absl::Status status = client_->Persist(
      "abort a transaction", absl::Now() + patience, stop,
      [this](int step_ms) { return rd_kafka_abort_transaction(client_->handle(), step_ms); });
  if (!status.ok()) return status;
  in_transaction_ = false;
  client_->failure.reset();
  return status;
}

absl::StatusOr<size_t> Producer::TopicIndex(const std::string& topic) {
  const auto [found, added] = topics_->by_name.try_emplace(topic, topics_->all.size());
  if (!added) return found->second;
  Owned<rd_kafka_topic_t> handle(rd_kafka_topic_new(client_->handle(), topic.c_str(), nullptr));
  if (handle == nullptr) {
    topics_->by_name.erase(found);
    return ErrorStatus(rd_kafka_last_error(), fmt::format("topic {}", topic), "");
  }
  topics_->all.push_back({topic, std::move(handle)});
  return topics_->all.size() - 1;
}

const std::string& Producer::TopicName(size_t index) const { return topics_->all[index].name; }

absl::Status Producer::Send(const Message& message, std::stop_token stop) {
  std::array<rd_kafka_vu_t, kFieldsMax + kHeadersUsual> usual;
  std::vector<rd_kafka_vu_t> many;
  rd_kafka_vu_t* fields = usual.data();
  if (message.headers.size() > kHeadersUsual) {
    many.resize(kFieldsMax + message.headers.size());
    fields = many.data();
  }
  size_t count = 0;
  const auto add = [&](rd_kafka_vtype_t type) -> rd_kafka_vu_t& {
    fields[count].vtype = type;
    return fields[count++];
  };
  add(RD_KAFKA_VTYPE_RKT).u.rkt = topics_->all[message.topic].handle.get();
  add(RD_KAFKA_VTYPE_PARTITION).u.i32 =
      message.partition == kPartitionByKey ? RD_KAFKA_PARTITION_UA : message.partition;
  add(RD_KAFKA_VTYPE_MSGFLAGS).u.i = RD_KAFKA_MSG_F_COPY;
  add(RD_KAFKA_VTYPE_OPAQUE).u.ptr = reinterpret_cast<void*>(uintptr_t{message.tag});
  if (message.has_key) {
    add(RD_KAFKA_VTYPE_KEY).u.mem = {Bytes(message.key), message.key.size()};
  }
  if (message.has_value) {
    add(RD_KAFKA_VTYPE_VALUE).u.mem = {Bytes(message.value), message.value.size()};
  }
  for (const Header& header : message.headers) {
    add(RD_KAFKA_VTYPE_HEADER).u.header = {header.name, Bytes(header.value),
                                           static_cast<ssize_t>(header.value.size())};
  }
  while (true) {
    const Owned<rd_kafka_error_t> error(rd_kafka_produceva(client_->handle(), fields, count));
    if (error == nullptr) return absl::OkStatus();
    const rd_kafka_resp_err_t code = rd_kafka_error_code(error.get());
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      // A fatal error, of being fenced off say, tells more than that there was one.
      PGFLOW_RETURN_IF_ERROR(Poll());
      return ErrorStatus(*error, fmt::format("topic {}", TopicName(message.topic)));
    }
    client_->Poll(absl::Milliseconds(10));
    PGFLOW_RETURN_IF_ERROR(FailureStatus());
    if (stop.stop_requested()) {
      return absl::CancelledError("stopped while brokers were slow to take messages");
    }
  }
}

absl::Status Producer::Flush(std::stop_token stop) {
  const absl::Status status = client_->Persist(
      "deliver messages", absl::Now() + options_.patience, stop,
      [this](int step_ms) -> rd_kafka_error_t* {
        const rd_kafka_resp_err_t code = rd_kafka_flush(client_->handle(), step_ms);
        if (client_->failure.has_value() || code == RD_KAFKA_RESP_ERR_NO_ERROR) return nullptr;
        return rd_kafka_error_new(code, "%s", rd_kafka_err2str(code));
      });
  return client_->failure.has_value() ? FailureStatus() : status;
}

absl::Status Producer::Poll() {
  client_->Poll(absl::ZeroDuration());
  std::array<char, 512> text{};
  const rd_kafka_resp_err_t fatal =
      rd_kafka_fatal_error(client_->handle(), text.data(), text.size());
  if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) return ErrorStatus(fatal, "producer", text.data());
  return FailureStatus();
}

uint64_t Producer::pending() const {
  return static_cast<uint64_t>(rd_kafka_outq_len(client_->handle()));
}

const std::optional<DeliveryFailure>& Producer::failure() const { return client_->failure; }

}  // namespace pgflow::kafka
