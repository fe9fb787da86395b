// Client: what every handle of librdkafka needs: settings, its log and errors, an end. For this
// room only.
//
// Owned by one Producer, Consumer or Admin; callbacks come on the thread that polls. Errors of the
// library become statuses here and nowhere else:
//   kUnavailable, kAborted   brokers cannot be reached, or the call may succeed when made anew
//   kInvalidArgument         this message is refused
//   kPermissionDenied, kUnauthenticated, kFailedPrecondition   somebody has to change something
#pragma once

#include <librdkafka/rdkafka.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "kafka/producer.h"
#include "kafka/settings.h"

namespace pgflow::kafka {

// How long one call into librdkafka may block: a stop waits at most this long.
inline constexpr absl::Duration kStep = absl::Seconds(1);

struct Destroy {
  void operator()(rd_kafka_t* handle) const { rd_kafka_destroy(handle); }
  void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
  void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
  void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
  void operator()(rd_kafka_error_t* error) const { rd_kafka_error_destroy(error); }
  void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
  void operator()(rd_kafka_NewTopic_t* topic) const { rd_kafka_NewTopic_destroy(topic); }
  void operator()(rd_kafka_AdminOptions_t* options) const {
    rd_kafka_AdminOptions_destroy(options);
  }
  void operator()(rd_kafka_ConfigResource_t* resource) const {
    rd_kafka_ConfigResource_destroy(resource);
  }
  void operator()(rd_kafka_topic_partition_list_t* list) const {
    rd_kafka_topic_partition_list_destroy(list);
  }
  void operator()(const rd_kafka_metadata_t* metadata) const {
    rd_kafka_metadata_destroy(metadata);
  }
};
template <typename T>
using Owned = std::unique_ptr<T, Destroy>;

// `what` says what was being done; `reason` is the library's text, may be empty.
absl::Status ErrorStatus(rd_kafka_resp_err_t code, std::string_view what, std::string_view reason);
absl::Status ErrorStatus(const rd_kafka_error_t& error, std::string_view what);

class Client {
 public:
  // `configure` sets callbacks; null is fine. kInvalidArgument: as CheckSettings.
  static absl::StatusOr<std::unique_ptr<Client>> Make(
      rd_kafka_type_t type, const Settings& settings,
      const std::function<void(rd_kafka_conf_t*)>& configure);

  rd_kafka_t* handle() const { return handle_.get(); }
  // Serves callbacks.
  void Poll(absl::Duration wait) const {
    rd_kafka_poll(handle_.get(), static_cast<int>(absl::ToInt64Milliseconds(wait)));
  }

  // Calls `attempt`, which blocks for kStep at most and gives the library's error, until it is OK,
  // fails for good, `deadline` has passed or a stop is requested.
  absl::Status Persist(std::string_view what, absl::Time deadline, const std::stop_token& stop,
                       const std::function<rd_kafka_error_t*(int step_ms)>& attempt);
  // An attempt of Persist has timed out, since the start.
  bool resumed() const { return resumed_; }

  // Why nothing comes through: the last error of a connection, or OK.
  const absl::Status& connection_error() const { return connection_error_; }
  void OnConnectionError(rd_kafka_resp_err_t code, std::string_view reason);
  // "what: nothing for 30s", with what is known of the reason.
  absl::Status TimedOut(std::string_view what, absl::Duration waited) const;
  // The delivery failure that came first since it was taken.
  std::optional<DeliveryFailure> failure;
  // What a callback of the library finds its way by.
  void* owner = nullptr;

 private:
  Client() = default;

  absl::Status connection_error_;
  bool resumed_ = false;
  Owned<rd_kafka_t> handle_;
};

}  // namespace pgflow::kafka
