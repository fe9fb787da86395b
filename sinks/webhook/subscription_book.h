// SubscriptionBook: the subscriptions as they are at one place of the stream, and who wants what.
//
// A row that cannot be an endpoint stays in the book with the reason and gets nothing. One thread.
// Errors: kDataLoss when a row does not fit its schema; kFailedPrecondition when the subscriptions'
// table cannot be one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/change_event.h"
#include "sinks/encoding/change_rows.h"
#include "sinks/webhook/outbox.h"
#include "sinks/webhook/subscription.h"
#include "sinks/webhook/webhook_config.h"

namespace pgflow::sinks {

struct BookedSubscription {
  StoredSubscription stored;
  std::optional<WebhookConfig> config;  // Nothing: `error` says why.
  std::optional<Subscription> filter;
  std::string error;
  bool enabled = false;

  bool receives() const { return enabled && error.empty(); }
  // What it was owed before it ended is delivered still.
  bool is_served() const {
    return enabled && config.has_value() && (error.empty() || !stored.error.empty());
  }
};

class SubscriptionBook {
 public:
  // `config` must outlive it.
  explicit SubscriptionBook(const WebhookConfig& config) : config_(config) {}

  // As the outbox knows them; forgets what was not taken.
  void Load(std::vector<StoredSubscription> stored, int64_t next_id);
  // A change of the subscriptions' table.
  absl::Status Apply(const engine::ChangeEvent& event);
  // One gets nothing any more, until its row changes. With `forget`, not what waits for it either.
  void End(int64_t id, std::string error, bool forget);

  // Before the first event of each batch.
  void StartBatch();
  // Who wants that change of another table. One whose condition does not fit the table is ended.
  absl::StatusOr<std::vector<int64_t>> WhoWants(const engine::ChangeEvent& event);

  // What has changed since the last call; without messages.
  OutboxEdit TakeEdit();
  bool changed() const { return changed_; }
  const std::map<int64_t, BookedSubscription>& all() const { return all_; }

 private:
  BookedSubscription* Find(std::string_view key);
  void Put(int64_t id, const std::string& key, std::string row);
  void Remove(std::string_view key);
  // The subscription that a stored row makes.
  BookedSubscription Book(StoredSubscription stored) const;
  absl::Status ApplyRow(const engine::ChangeEvent& event);
  void LimitCount();

  const WebhookConfig& config_;
  std::map<int64_t, BookedSubscription> all_;
  int64_t next_id_ = 1;
  ChangeRows rows_;
  bool changed_ = false;
  std::map<int64_t, bool> dirty_;  // To be written; true: what waits is forgotten.
  std::vector<int64_t> removed_;
};

}  // namespace pgflow::sinks
