#include "sinks/opensearch/bulk_sender.h"

#include <algorithm>
#include <utility>

#include <absl/time/clock.h>

#include "base/pause.h"
#include "base/status.h"

namespace pgflow::sinks {
namespace {

bool IsLater(int status) { return status == 429 || status == 502 || status == 503; }

size_t ItemsOf(const std::deque<BulkBody>& bodies) {
  size_t items = 0;
  for (const BulkBody& body : bodies) items += body.items().size();
  return items;
}

// The first half stays, the second is added.
void Halve(const BulkBody& body, std::deque<BulkBody>& to) {
  BulkBody halves[2];
  for (size_t i = 0; i < body.items().size(); ++i) {
    halves[i < body.items().size() / 2 ? 0 : 1].Copy(body, body.items()[i]);
  }
  to.push_back(std::move(halves[0]));
  to.push_back(std::move(halves[1]));
}

}  // namespace

// What came of the bodies that were sent together.
struct BulkSender::Round {
  std::deque<BulkBody> again;  // At once.
  std::deque<BulkBody> later;  // After a pause.
  std::string later_reason;
  std::vector<RefusedItem> refused;
  std::vector<uint64_t> stale;
  absl::Status error;
};

absl::StatusOr<std::vector<RefusedItem>> BulkSender::Send(std::vector<BulkBody> bodies,
                                                          Visibility visibility,
                                                          std::stop_token stop) {
  const std::string_view refresh = visibility == Visibility::kAtOnce ? "&refresh=true" : "";
  path_ = fmt::format("/_bulk?filter_path={}{}", kBulkAnswerFilter, refresh);
  pipeline_path_ =
      fmt::format("/_bulk?filter_path={}{}{}", kBulkAnswerFilter, kPipelineAnswerFilter, refresh);
  std::deque<BulkBody> waiting;
  for (BulkBody& body : bodies) {
    if (!body.empty()) waiting.push_back(std::move(body));
  }
  std::vector<RefusedItem> refused;
  stale_deletions_.clear();
  absl::Time give_up = absl::Now() + patience_.give_up_after;
  absl::Duration pause = patience_.first_pause;
  while (!waiting.empty()) {
    Round round;
    const size_t before = ItemsOf(waiting);
    PGFLOW_RETURN_IF_ERROR(SendRound(waiting, round, stop));
    PGFLOW_RETURN_IF_ERROR(round.error);
    std::ranges::move(round.refused, std::back_inserter(refused));
    std::ranges::copy(round.stale, std::back_inserter(stale_deletions_));
    const bool goes_on = ItemsOf(round.again) + ItemsOf(round.later) < before;
    if (goes_on) give_up = absl::Now() + patience_.give_up_after;
    waiting = std::move(round.again);
    if (round.later.empty()) continue;
    std::ranges::move(round.later, std::back_inserter(waiting));
    if (absl::Now() > give_up) {
      return base::MakeStatus(absl::StatusCode::kUnavailable,
                              "the search server has taken nothing for {}: {}",
                              absl::FormatDuration(patience_.give_up_after), round.later_reason);
    }
    if (!base::Pause(pause, stop)) return absl::CancelledError("stopped");
    pause = std::min(2 * pause, patience_.pause_max);
  }
  return refused;
}

absl::Status BulkSender::SendRound(std::deque<BulkBody>& waiting, Round& round,
                                   std::stop_token stop) {
  http::Client& client = cluster_.client();
  while (!waiting.empty() || client.in_flight() > 0) {
    while (!waiting.empty() && client.in_flight() < connections_) {
      auto body = std::make_shared<BulkBody>(std::move(waiting.front()));
      waiting.pop_front();
      client.Start(cluster_.MakeRequest("POST", body->has_pipeline() ? pipeline_path_ : path_,
                                        body->bytes()),
                   [this, body, &round](absl::StatusOr<http::Response> response) {
                     Take(*body, std::move(response), round);
                   });
    }
    PGFLOW_RETURN_IF_ERROR(client.Run(absl::InfiniteFuture(), stop));
    if (!round.error.ok()) {
      client.Cancel();
      return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

void BulkSender::Take(const BulkBody& body, absl::StatusOr<http::Response> response,
                      Round& round) const {
  if (!response.ok()) {
    if (round.error.ok()) round.error = response.status();
    return;
  }
  if (response->is_success()) return TakeAnswer(body, *response, round);
  const absl::Status status = Cluster::ToStatus(*response, "bulk request");
  if (IsLater(response->status)) {
    round.later.push_back(body);
    round.later_reason = base::Message(status);
  } else if (response->status == 413 && body.items().size() > 1) {
    Halve(body, round.again);
  } else if (response->status == 413) {
    round.refused.push_back(
        {body.items()[0].tag,
         fmt::format("the document has {} bytes, more than the server takes in one request "
                     "(http.max_content_length)",
                     body.bytes().size())});
  } else if (round.error.ok()) {
    round.error = status;
  }
}

void BulkSender::TakeAnswer(const BulkBody& body, const http::Response& response,
                            Round& round) const {
  const absl::StatusOr<std::vector<BulkFailure>> failures =
      body.has_pipeline() ? ReadPipelineAnswer(response.body, body)
                          : ReadBulkAnswer(response.body, body.items().size());
  if (!failures.ok()) {
    if (round.error.ok()) round.error = failures.status();
    return;
  }
  BulkBody later;
  BulkBody dropped;
  for (const BulkFailure& failure : *failures) {
    const BulkBody::Item& item = body.items()[failure.item];
    switch (failure.kind) {
      case BulkFailure::Kind::kLater:
        later.Copy(body, item);
        round.later_reason = failure.reason;
        break;
      case BulkFailure::Kind::kDropped:
        // What was there before is not what there is now.
        dropped.CopyAsDeletion(body, item);
        break;
      case BulkFailure::Kind::kStale:
        round.stale.push_back(item.tag);
        break;
      case BulkFailure::Kind::kRefused:
        round.refused.push_back({item.tag, failure.reason});
        break;
      case BulkFailure::Kind::kBroken:
        if (!round.error.ok()) break;
        round.error = base::MakeStatus(
            failure.status == 403 ? absl::StatusCode::kPermissionDenied
                                  : absl::StatusCode::kFailedPrecondition,
            "bulk request: an item failed with status {}: {}", failure.status, failure.reason);
        break;
    }
  }
  if (!later.empty()) round.later.push_back(std::move(later));
  if (!dropped.empty()) round.again.push_back(std::move(dropped));
}

}  // namespace pgflow::sinks
