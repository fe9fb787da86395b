#include "sinks/webhook/delivery.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <absl/time/clock.h>

#include "base/crypto/digest.h"
#include "base/log.h"
#include "base/pause.h"
#include "base/status.h"
#include "engine/api/sink.h"

namespace pgflow::sinks {
namespace {

constexpr uint64_t kWaitingBytesMax = 16 << 20;
// More lanes than requests when each has one event: a slow key then holds up fewer others.
constexpr size_t kLanesForEachRequest = 4;
constexpr int kDoublingsMax = 20;

// The Idempotency-Key of a request: the event's own, or for a batch one that only the same events
// in the same order have. (A batch is cut anew after an error, so its first position is not
// enough.)
std::string RequestId(const std::vector<WebhookMessage>& messages, bool batched) {
  if (!batched) return messages.front().id;
  std::string ids;
  for (const WebhookMessage& message : messages) ids += message.id + "\n";
  constexpr size_t kDigits = 32;
  return fmt::format("{}-{}-{}", messages.front().id, messages.size(),
                     base::Hex(base::Sha256(ids), kDigits));
}

}  // namespace

std::string Redacted(std::string text, const std::vector<std::string>& secrets) {
  constexpr size_t kShortest = 4;  // Shorter ones would hit words that mean nothing.
  for (const std::string& secret : secrets) {
    if (secret.size() < kShortest) continue;
    for (size_t at = text.find(secret); at != std::string::npos; at = text.find(secret, at)) {
      text.replace(at, secret.size(), "***");
    }
  }
  return text;
}

Delivery::Delivery(const DeliveryOptions& options, std::unique_ptr<http::Client> client)
    : options_(options),
      lanes_(options.requests_max * (options.batched ? 1 : kLanesForEachRequest)),
      request_bytes_max_(options.batch_bytes_max),
      random_(std::random_device{}()),
      client_(std::move(client)) {
  Reset();
}

void Delivery::Reset() {
  client_->Cancel();
  for (Lane& lane : lanes_) {
    lane = {};
    lane.limit = options_.batch_events_max;
  }
  moved_.clear();
  refused_keys_.clear();
  refusals_.clear();
  in_flight_ = 0;
  waiting_bytes_ = 0;
  failed_ = false;
  held_ = given_up_ = fatal_ = absl::OkStatus();
}

std::vector<Delivery::Refusal> Delivery::TakeRefusals() {
  refused_keys_.clear();
  return std::exchange(refusals_, {});
}

std::vector<engine::Position> Delivery::TakeAnswered() { return std::exchange(answered_, {}); }

absl::Status Delivery::Add(WebhookMessage message, std::stop_token stop) {
  message.sequence = next_sequence_++;
  const size_t index = ChooseLane(message);
  Lane& lane = lanes_[index];
  waiting_bytes_ += message.body.size();
  lane.queue.push_back(std::move(message));
  const bool full = lane.queue.size() >= lane.limit && IsReady(lane);
  if (full && in_flight_ < Capacity() && StartOf(lane) <= absl::Now()) {
    StartRequest(index);
    // Bytes move while the next events are encoded.
    PGFLOW_RETURN_IF_ERROR(client_->Run(absl::InfinitePast(), stop));
    PGFLOW_RETURN_IF_ERROR(fatal_);
  }
  if (waiting_bytes_ <= kWaitingBytesMax) return absl::OkStatus();
  const auto has_room = [this] { return waiting_bytes_ <= kWaitingBytesMax / 2; };
  PGFLOW_RETURN_IF_ERROR(RunUntil(has_room, stop));
  return has_room() ? absl::OkStatus() : Verdicts();
}

absl::Status Delivery::Drain(std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(RunUntil([] { return false; }, stop));
  moved_.clear();
  return Verdicts();
}

absl::Status Delivery::AddAlone(WebhookMessage message, std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(DrainWithoutRefusal(stop));
  PGFLOW_RETURN_IF_ERROR(Add(std::move(message), stop));
  return DrainWithoutRefusal(stop);
}

absl::Status Delivery::DrainWithoutRefusal(const std::stop_token& stop) {
  PGFLOW_RETURN_IF_ERROR(Drain(stop));
  return refusals_.empty() ? absl::OkStatus() : refusals_.front().error;
}

absl::Status Delivery::Verdicts() const {
  PGFLOW_RETURN_IF_ERROR(fatal_);
  PGFLOW_RETURN_IF_ERROR(given_up_);
  return held_;
}

size_t Delivery::CurrentLaneOf(uint64_t key) const {
  const auto moved = moved_.find(key);
  return moved == moved_.end() ? key % lanes_.size() : moved->second;
}

size_t Delivery::ChooseLane(WebhookMessage& message) {
  const size_t index = CurrentLaneOf(message.old_key);
  const size_t other = CurrentLaneOf(message.key);
  if (index == other) return index;
  // The row goes from one key to another: what came earlier for the new key is first, and what
  // follows for it goes behind this event.
  message.waits_for = other;
  moved_[message.key] = index;
  return index;
}

// Waits are for earlier messages only, so the earliest one of all never waits.
bool Delivery::IsBlocked(const WebhookMessage& message) const {
  if (!message.waits_for.has_value()) return false;
  const Lane& lane = lanes_[*message.waits_for];
  return (!lane.sent.empty() && lane.sent.front().sequence < message.sequence) ||
         (!lane.queue.empty() && lane.queue.front().sequence < message.sequence);
}

bool Delivery::IsReady(const Lane& lane) const {
  return !lane.queue.empty() && lane.sent.empty() && !lane.given_up &&
         !IsBlocked(lane.queue.front());
}

template <typename Predicate>
absl::Status Delivery::RunUntil(Predicate done, const std::stop_token& stop) {
  while (!done()) {
    StartRequests();
    PGFLOW_RETURN_IF_ERROR(fatal_);
    const absl::Time next = NextStart();
    if (in_flight_ > 0) {
      PGFLOW_RETURN_IF_ERROR(client_->Run(next, stop));
      PGFLOW_RETURN_IF_ERROR(fatal_);
      continue;
    }
    if (next == absl::InfiniteFuture()) return absl::OkStatus();  // Nothing can move.
    const absl::Time now = absl::Now();
    const absl::Duration wait = next - now;
    const bool down = failed_ && now - down_since_ >= options_.give_up_after;
    if (down || wait > options_.give_up_after) return last_error_;
    if (!base::Pause(wait + absl::Milliseconds(1), stop)) return absl::CancelledError("stopped");
  }
  return absl::OkStatus();
}

size_t Delivery::Capacity() const {
  return failures_in_row_ >= options_.circuit_failures ? 1 : options_.requests_max;
}

void Delivery::StartRequests() {
  const absl::Time now = absl::Now();
  for (size_t i = 0; i < lanes_.size(); ++i) {
    const size_t index = (first_lane_ + i) % lanes_.size();
    Lane& lane = lanes_[index];
    if (!IsReady(lane) || StartOf(lane) > now) continue;
    if (in_flight_ >= Capacity()) {
      first_lane_ = index;
      return;
    }
    StartRequest(index);
  }
}

// When a lane that waits may go on; infinite when none does, or when only an answer can help.
absl::Time Delivery::NextStart() const {
  absl::Time next = absl::InfiniteFuture();
  if (in_flight_ >= Capacity()) return next;
  for (const Lane& lane : lanes_) {
    if (!IsReady(lane)) continue;
    next = std::min(next, StartOf(lane));
  }
  return next;
}

absl::Time Delivery::StartOf(const Lane& lane) const {
  return std::max({lane.not_before, rest_until_, probe_at_});
}

bool Delivery::IsHeld(const WebhookMessage& message) const {
  return refused_keys_.contains(message.key) || refused_keys_.contains(message.old_key);
}

void Delivery::StartRequest(size_t lane_index) {
  Lane& lane = lanes_[lane_index];
  const size_t most = lane.suspects > 0 ? std::min(lane.limit, lane.suspects) : lane.limit;
  uint64_t bytes = 0;
  while (!lane.queue.empty() && lane.sent.size() < most) {
    WebhookMessage& message = lane.queue.front();
    if (IsHeld(message)) {
      // It must not overtake the refused one before it; nor may what follows under its new key.
      held_ = refusals_.front().error;
      refused_keys_.insert(message.key);
      waiting_bytes_ -= message.body.size();
    } else {
      if (IsBlocked(message)) break;
      bytes += message.body.size() + 1;
      if (!lane.sent.empty() && bytes > request_bytes_max_) break;
      lane.sent.push_back(std::move(message));
    }
    lane.queue.pop_front();
  }
  if (lane.sent.empty()) return;
  ++in_flight_;
  client_->Start(MakeRequest(lane.sent),
                 [this, lane_index](const absl::StatusOr<http::Response>& answer) {
                   OnAnswer(lane_index, answer);
                 });
}

http::Request Delivery::MakeRequest(const std::vector<WebhookMessage>& messages) const {
  http::Request request;
  request.method = "POST";
  request.url = options_.url;
  request.name = options_.shown;
  request.compression = options_.compression;
  if (options_.batched) {
    size_t size = 2;
    for (const WebhookMessage& message : messages) size += message.body.size() + 1;
    request.body.reserve(size);
    for (const WebhookMessage& message : messages) {
      request.body += request.body.empty() ? '[' : ',';
      request.body += message.body;
    }
    request.body += ']';
  } else {
    request.body = messages.front().body;
  }
  const std::string id = RequestId(messages, options_.batched);
  const int64_t timestamp = absl::ToUnixSeconds(absl::Now());
  request.headers = {{"Content-Type", options_.content_type},
                     {"Idempotency-Key", id},
                     {"webhook-id", id},
                     {"webhook-timestamp", std::to_string(timestamp)}};
  if (options_.signer.has_secrets()) {
    request.headers.emplace_back("webhook-signature",
                                 options_.signer.Sign(id, timestamp, request.body));
  }
  return request;
}

void Delivery::OnAnswer(size_t lane_index, const absl::StatusOr<http::Response>& answer) {
  Lane& lane = lanes_[lane_index];
  --in_flight_;
  if (!answer.ok()) {
    if (!base::IsRetryable(answer.status())) {
      fatal_ = answer.status();
      return;
    }
    return OnFailure(lane, answer.status(), absl::ZeroDuration());
  }
  const Verdict verdict = VerdictOf(answer->status);
  switch (verdict) {
    case Verdict::kTaken: {
      std::vector<std::string> ids;
      ids.reserve(lane.sent.size());
      for (const WebhookMessage& message : lane.sent) ids.push_back(message.id);
      const absl::StatusOr<std::vector<FailedItem>> failed = FailedItems(*answer, ids);
      if (failed.ok()) return OnTaken(lane, *failed);
      return OnFailure(lane, base::Annotate(failed.status(), options_.shown), absl::ZeroDuration());
    }
    case Verdict::kTryAgain: {
      const absl::Time now = absl::Now();
      const absl::Duration wait = RetryAfter(*answer, now).value_or(absl::ZeroDuration());
      // It is the endpoint that asks for a rest, not the one request.
      rest_until_ = std::max(rest_until_, now + wait);
      return OnFailure(lane, ErrorOf(absl::StatusCode::kUnavailable, *answer), wait);
    }
    case Verdict::kTooLarge:
    case Verdict::kRefused:
      return OnRefused(lane, *answer, verdict);
    case Verdict::kMisconfigured:
      fatal_ = ErrorOf(absl::StatusCode::kFailedPrecondition, *answer);
      return;
  }
}

absl::Status Delivery::ErrorOf(absl::StatusCode code, const http::Response& response) const {
  std::string_view remedy;
  switch (response.status) {
    case 401:
    case 403:
      remedy = "; are 'secrets' and connection.auth right?";
      break;
    case 404:
    case 410:
      remedy = "; is 'url' right?";
      break;
    default:
      if (response.status >= 300 && response.status < 400) {
        remedy = "; redirects are not followed, write the final address into 'url'";
      }
      break;
  }
  const std::string excerpt = Redacted(Excerpt(response.body), options_.secrets);
  return base::MakeStatus(code, "{} answered {}{}{}{}", options_.shown, response.status,
                          excerpt.empty() ? "" : ": ", excerpt, remedy);
}

void Delivery::OnTaken(Lane& lane, const std::vector<FailedItem>& failed) {
  OnAlive();
  std::vector<WebhookMessage> sent = std::exchange(lane.sent, {});
  LeaveSuspects(lane, sent.size());
  lane.attempts = 0;
  lane.failing_since = absl::InfiniteFuture();
  std::vector<WebhookMessage> again;
  std::unordered_set<uint64_t> again_keys;
  std::string again_error;
  auto next = failed.begin();
  for (size_t i = 0; i < sent.size(); ++i) {
    WebhookMessage& message = sent[i];
    const bool listed = next != failed.end() && next->index == i;
    if (listed && !next->retry) {
      Refuse(message, next->error);
      waiting_bytes_ -= message.body.size();
    } else if (listed || again_keys.contains(message.key) || again_keys.contains(message.old_key)) {
      // What follows under its key comes again, too, or it would be overtaken.
      if (listed) again_error = next->error;
      again_keys.insert({message.key, message.old_key});
      again.push_back(std::move(message));
    } else {
      waiting_bytes_ -= message.body.size();
      answered_.push_back(message.position);
    }
    if (listed) ++next;
  }
  if (again.empty()) return;
  lane.sent = std::move(again);
  TryLater(lane,
           base::MakeStatus(absl::StatusCode::kUnavailable, "{} asks for {} events again: {}",
                            options_.shown, lane.sent.size(),
                            Redacted(Excerpt(again_error), options_.secrets)),
           absl::ZeroDuration());
}

void Delivery::OnAlive() {
  if (failures_in_row_ >= options_.circuit_failures) {
    base::LogInfo("{} answers again", options_.shown);
  }
  failures_in_row_ = 0;
  down_since_ = absl::InfiniteFuture();
  probe_at_ = absl::InfinitePast();
}

// The endpoint as a whole seems to be in trouble.
void Delivery::OnFailure(Lane& lane, const absl::Status& error, absl::Duration wait_min) {
  const absl::Time now = absl::Now();
  failed_ = true;
  down_since_ = std::min(down_since_, now);
  ++failures_in_row_;
  if (failures_in_row_ == options_.circuit_failures) {
    base::LogWarning("{}; after {} failures in a row it is tried by one request at a time",
                     base::Message(error), failures_in_row_);
  }
  if (failures_in_row_ >= options_.circuit_failures) {
    probe_at_ = now + BackOff(failures_in_row_ - options_.circuit_failures + 1);
  }
  TryLater(lane, error, wait_min);
}

void Delivery::TryLater(Lane& lane, const absl::Status& error, absl::Duration wait_min) {
  const absl::Time now = absl::Now();
  last_error_ = error;
  ++lane.attempts;
  lane.failing_since = std::min(lane.failing_since, now);
  lane.not_before = now + std::max(wait_min, BackOff(lane.attempts));
  if (now - lane.failing_since >= options_.give_up_after) {
    lane.given_up = true;
    given_up_ = error;
  }
  Requeue(lane, std::exchange(lane.sent, {}));
}

void Delivery::OnRefused(Lane& lane, const http::Response& response, Verdict verdict) {
  OnAlive();
  std::vector<WebhookMessage> sent = std::exchange(lane.sent, {});
  if (sent.size() == 1) {
    const bool searched = lane.suspects > 0;
    LeaveSuspects(lane, 1);
    // Found: the rest of the request may well be good.
    if (searched) lane.limit = std::min(lane.limit * 2, options_.batch_events_max);
    lane.attempts = 0;
    lane.failing_since = absl::InfiniteFuture();
    Refuse(sent.front(), fmt::format("{} {}", response.status,
                                     Redacted(Excerpt(response.body), options_.secrets)));
    waiting_bytes_ -= sent.front().body.size();
    return;
  }
  if (verdict == Verdict::kTooLarge) {
    uint64_t bytes = 0;
    for (const WebhookMessage& message : sent) bytes += message.body.size() + 1;
    request_bytes_max_ = std::max<uint64_t>(1, std::min(request_bytes_max_, bytes / 2));
    base::LogWarning("{} finds {} bytes too large; from now on a request has {} at most",
                     options_.shown, bytes, request_bytes_max_);
  } else {
    lane.suspects = std::max(lane.suspects, sent.size());
    lane.limit = sent.size() / 2;
  }
  Requeue(lane, std::move(sent));
}

void Delivery::LeaveSuspects(Lane& lane, size_t count) {
  lane.suspects -= std::min(count, lane.suspects);
  if (lane.suspects == 0) lane.limit = options_.batch_events_max;
}

void Delivery::Refuse(const WebhookMessage& message, const std::string& why) {
  absl::Status error =
      base::MakeStatus(absl::StatusCode::kInvalidArgument, "{} refused a row of {} at {}: {}",
                       options_.shown, message.table->ToString(), message.position.ToString(),
                       Redacted(Excerpt(why), options_.secrets));
  base::SetPayload(error, engine::kCulpritPayload, message.position.ToString());
  refusals_.push_back({message.position, message.event, std::move(error)});
  refused_keys_.insert(message.key);
  refused_keys_.insert(message.old_key);
}

void Delivery::Requeue(Lane& lane, std::vector<WebhookMessage> messages) {
  lane.queue.insert(lane.queue.begin(), std::make_move_iterator(messages.begin()),
                    std::make_move_iterator(messages.end()));
}

absl::Duration Delivery::BackOff(int attempts) {
  const double factor = static_cast<double>(1 << std::min(attempts - 1, kDoublingsMax));
  const absl::Duration full = std::min(options_.retry_initial * factor, options_.retry_max);
  return full * std::uniform_real_distribution<double>(0.5, 1.0)(random_);
}

}  // namespace pgflow::sinks
