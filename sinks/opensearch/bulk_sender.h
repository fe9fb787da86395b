// BulkSender: sends bulk bodies until every item is done, refused, or the server is given up.
//
// Owned by a sink or one of its lanes; one thread. What the server has no room for (429, 5xx, of
// the request or of an item) is sent again with back-off, for half a minute; a request that is too
// large is halved.
#pragma once

#include <deque>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "sinks/opensearch/bulk_answer.h"
#include "sinks/opensearch/bulk_body.h"
#include "sinks/opensearch/cluster.h"

namespace pgflow::sinks {

struct RefusedItem {
  uint64_t tag = 0;
  std::string reason;
};

// How long what the server has no room for is sent again.
struct BulkPatience {
  absl::Duration give_up_after = absl::Seconds(30);  // Since it took anything.
  absl::Duration first_pause = absl::Milliseconds(50);
  absl::Duration pause_max = absl::Seconds(5);
};

class BulkSender {
 public:
  enum class Visibility { kLater, kAtOnce };

  // `cluster` must outlive this.
  BulkSender(Cluster& cluster, uint64_t connections, BulkPatience patience = {})
      : cluster_(cluster), connections_(connections), patience_(patience) {}

  // Every item of `bodies` is done when it returns, save those that are refused. The bodies may be
  // sent at the same time: no document may be in two of them. kUnavailable and the like: some items
  // may be done. kFailedPrecondition, kPermissionDenied: the server will not take any.
  absl::StatusOr<std::vector<RefusedItem>> Send(std::vector<BulkBody> bodies, Visibility visibility,
                                                std::stop_token stop);
  // The tags of the deletions in it that found a later version than theirs.
  const std::vector<uint64_t>& stale_deletions() const { return stale_deletions_; }

 private:
  struct Round;

  absl::Status SendRound(std::deque<BulkBody>& waiting, Round& round, std::stop_token stop);
  void Take(const BulkBody& body, absl::StatusOr<http::Response> response, Round& round) const;
  void TakeAnswer(const BulkBody& body, const http::Response& response, Round& round) const;

  Cluster& cluster_;
  const uint64_t connections_;
  const BulkPatience patience_;
  std::string path_;
  std::string pipeline_path_;
  std::vector<uint64_t> stale_deletions_;
};

}  // namespace pgflow::sinks
