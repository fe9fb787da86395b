// Delivery: brings messages to one endpoint, many requests at once, and keeps the order of each
// key.
//
// A message belongs to a lane by its key; a lane has one request on its way at a time, with as many
// of its next messages as a batch may have. What an answer means is sinks/webhook/answer.h's
// business; here is what follows from it: the next request, another try after a pause, a smaller
// request to find the message that is at fault, a refusal, or the end. After some failures in a row
// the circuit opens: one request at a time probes the endpoint until it answers again.
// Bounds: requests on their way, bytes that wait (Add then waits itself), and the time that one
// request is tried again before the error goes to the caller. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "engine/api/position.h"
#include "http/client.h"
#include "schemas/table_schema.h"
#include "sinks/webhook/answer.h"
#include "sinks/webhook/delivery_options.h"

namespace pgflow::sinks {

// One event as the receiver gets it.
struct WebhookMessage {
  engine::Position position;
  size_t event = 0;                           // The caller's index, for refusals.
  const schemas::TableName* table = nullptr;  // For errors; outlives the delivery of the message.
  std::string id;                             // Its Idempotency-Key.
  std::string body;
  uint64_t key = 0;      // Messages with the same one keep their order.
  uint64_t old_key = 0;  // Of an event that changed the key; else the same as `key`.
  // Set by Delivery: its place among all messages, and the lane whose earlier ones come first.
  uint64_t sequence = 0;
  std::optional<size_t> waits_for;
};

class Delivery {
 public:
  struct Refusal {
    engine::Position position;
    size_t event = 0;
    absl::Status error;  // kInvalidArgument with engine::kCulpritPayload.
  };

  // `options` must outlive this.
  Delivery(const DeliveryOptions& options, std::unique_ptr<http::Client> client);

  // Takes a message over; may wait for answers. Errors: as Drain.
  absl::Status Add(WebhookMessage message, std::stop_token stop);
  // Behind everything before it, and before everything behind it.
  absl::Status AddAlone(WebhookMessage message, std::stop_token stop);
  // Waits until every message was answered. OK: each was taken, or is in `refusals`. An error:
  //   kInvalidArgument     a refused message has successors of its key, which were held back
  //   kUnavailable, ...    the endpoint failed for too long
  //   kFailedPrecondition, kUnauthenticated, kPermissionDenied    nothing will be taken
  //   kCancelled           stopped
  // The caller then calls Reset; what was answered nevertheless is in `answered`.
  absl::Status Drain(std::stop_token stop);

  // Forgets all messages, abandons requests. What is known of the endpoint's health stays.
  void Reset();

  // Since the last Reset or Take.
  std::vector<Refusal> TakeRefusals();
  std::vector<engine::Position> TakeAnswered();

 private:
  struct Lane {
    std::deque<WebhookMessage> queue;
    std::vector<WebhookMessage> sent;  // In the request that is on its way.
    size_t limit = 0;                  // Of messages in the next request.
    size_t suspects = 0;               // The next ones, of which one or more are at fault.
    int attempts = 0;                  // That failed, of the first message.
    absl::Time not_before = absl::InfinitePast();
    absl::Time failing_since = absl::InfiniteFuture();
    bool given_up = false;
  };

  size_t ChooseLane(WebhookMessage& message);
  size_t CurrentLaneOf(uint64_t key) const;
  bool IsBlocked(const WebhookMessage& message) const;
  // Whether only time keeps the lane from its next request; StartOf says how long.
  bool IsReady(const Lane& lane) const;
  // Moves requests until `done` says so, or nothing is left that could move.
  template <typename Predicate>
  absl::Status RunUntil(Predicate done, const std::stop_token& stop);
  absl::Status Verdicts() const;
  absl::Status DrainWithoutRefusal(const std::stop_token& stop);
  void StartRequests();
  void StartRequest(size_t lane_index);
  size_t Capacity() const;
  absl::Time NextStart() const;
  absl::Time StartOf(const Lane& lane) const;
  bool IsHeld(const WebhookMessage& message) const;
  http::Request MakeRequest(const std::vector<WebhookMessage>& messages) const;

  void OnAnswer(size_t lane_index, const absl::StatusOr<http::Response>& answer);
  void OnTaken(Lane& lane, const std::vector<FailedItem>& failed);
  void OnFailure(Lane& lane, const absl::Status& error, absl::Duration wait_min);
  void TryLater(Lane& lane, const absl::Status& error, absl::Duration wait_min);
  void OnRefused(Lane& lane, const http::Response& response, Verdict verdict);
  void Refuse(const WebhookMessage& message, const std::string& why);
  void Requeue(Lane& lane, std::vector<WebhookMessage> messages);
  void LeaveSuspects(Lane& lane, size_t count);
  void OnAlive();
  absl::Duration BackOff(int attempts);
  absl::Status ErrorOf(absl::StatusCode code, const http::Response& response) const;

  const DeliveryOptions& options_;
  std::vector<Lane> lanes_;
  // Keys that follow another key's lane, because a row changed from that key to this one.
  std::unordered_map<uint64_t, size_t> moved_;
  std::unordered_set<uint64_t> refused_keys_;
  std::vector<Refusal> refusals_;
  std::vector<engine::Position> answered_;
  uint64_t next_sequence_ = 0;
  size_t first_lane_ = 0;  // Where looking for work starts, so that all lanes get their turn.
  size_t in_flight_ = 0;
  uint64_t waiting_bytes_ = 0;
  uint64_t request_bytes_max_;
  absl::Status held_;      // Set when a message was held back: the refusal of its predecessor.
  absl::Status given_up_;  // Set when a lane was.
  absl::Status fatal_;
  // The health of the endpoint.
  int failures_in_row_ = 0;
  absl::Time down_since_ = absl::InfiniteFuture();
  absl::Time rest_until_ = absl::InfinitePast();  // It asked for this, with Retry-After.
  absl::Time probe_at_ = absl::InfinitePast();    // The circuit is open.
  bool failed_ = false;                           // Since the last Reset.
  absl::Status last_error_;
  std::mt19937_64 random_;
  // Last: its callbacks refer to the others.
  std::unique_ptr<http::Client> client_;
};

}  // namespace pgflow::sinks
