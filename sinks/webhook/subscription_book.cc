#include "sinks/webhook/subscription_book.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "sinks/webhook/subscription_row.h"

namespace pgflow::sinks {

void SubscriptionBook::Load(std::vector<StoredSubscription> stored, int64_t next_id) {
  all_.clear();
  dirty_.clear();
  removed_.clear();
  changed_ = false;
  next_id_ = next_id;
  for (StoredSubscription& each : stored) {
    const int64_t id = each.id;
    all_.emplace(id, Book(std::move(each)));
  }
  LimitCount();
}

BookedSubscription SubscriptionBook::Book(StoredSubscription stored) const {
  BookedSubscription booked;
  booked.enabled = IsSubscriptionEnabled(stored.row);
  booked.error = stored.error;
  absl::StatusOr<WebhookConfig> config = EndpointConfig(config_, stored.row);
  if (!config.ok()) {
    booked.error = base::Message(config.status());
  } else {
    booked.filter = *Subscription::Make(config->subscribe);  // EndpointConfig has tried it.
    booked.config = *std::move(config);
  }
  booked.stored = std::move(stored);
  return booked;
}

// The oldest ones stay.
void SubscriptionBook::LimitCount() {
  uint64_t room = config_.subscriptions->endpoints_max;
  for (auto& [id, booked] : all_) {
    if (!booked.enabled || !booked.config.has_value() || !booked.stored.error.empty()) continue;
    const bool fits = room > 0;
    if (fits) --room;
    booked.error = fits
                       ? ""
                       : fmt::format("there are more than subscriptions.endpoints_max ({}) already",
                                     config_.subscriptions->endpoints_max);
  }
}

BookedSubscription* SubscriptionBook::Find(std::string_view key) {
  const auto found = std::ranges::find_if(
      all_, [key](const auto& entry) { return entry.second.stored.key == key; });
  return found == all_.end() ? nullptr : &found->second;
}

void SubscriptionBook::Put(int64_t id, const std::string& key, std::string row) {
  BookedSubscription booked = Book({id, key, std::move(row), ""});
  if (!booked.error.empty()) {
    base::LogError("subscription {}: {}; it gets nothing until its row is mended", key,
                   booked.error);
  } else {
    base::LogInfo("subscription {}: {} from here on", key,
                  booked.enabled ? "it gets its events" : "it is disabled");
  }
  all_.insert_or_assign(id, std::move(booked));
  dirty_[id];
  changed_ = true;
  LimitCount();
}

void SubscriptionBook::Remove(std::string_view key) {
  const BookedSubscription* booked = Find(key);
  if (booked == nullptr) return;
  const int64_t id = booked->stored.id;
  base::LogInfo("subscription {}: it is gone, with what waits for it", key);
  all_.erase(id);
  dirty_.erase(id);
  removed_.push_back(id);
  changed_ = true;
  LimitCount();
}

void SubscriptionBook::End(int64_t id, std::string error, bool forget) {
  const auto found = all_.find(id);
  if (found == all_.end()) return;
  base::LogError("subscription {}: {}", found->second.stored.key, error);
  found->second.error = error;
  found->second.stored.error = std::move(error);
  bool& forgets = dirty_[id];
  forgets = forgets || forget;
  changed_ = true;
}

absl::Status SubscriptionBook::Apply(const engine::ChangeEvent& event) {
  switch (event.operation) {
    case engine::Operation::kSchemaChange:
      return absl::OkStatus();
    case engine::Operation::kTruncate:
      while (!all_.empty()) Remove(std::string(all_.begin()->second.stored.key));
      return absl::OkStatus();
    default:
      return ApplyRow(event);
  }
}

absl::Status SubscriptionBook::ApplyRow(const engine::ChangeEvent& event) {
  PGFLOW_RETURN_IF_ERROR(rows_.Decode(event));
  const Change& change = rows_.change();
  std::string old_key;
  if (change.before != nullptr) {
    PGFLOW_ASSIGN_OR_RETURN(old_key, SubscriptionKey(*event.schema, *change.before));
  }
  if (change.after == nullptr) {
    Remove(old_key);
    return absl::OkStatus();
  }
  PGFLOW_ASSIGN_OR_RETURN(const std::string key, SubscriptionKey(*event.schema, *change.after));
  if (change.before == nullptr) old_key = key;
  // A row that got another id is the same endpoint still.
  const BookedSubscription* old = Find(old_key);
  const int64_t id = old != nullptr ? old->stored.id : next_id_++;
  const std::string previous = old != nullptr ? old->stored.row : "";
  if (old_key != key) Remove(key);
  Put(id, key, SubscriptionJson(*event.schema, *change.after, previous));
  return absl::OkStatus();
}

void SubscriptionBook::StartBatch() {
  for (auto& [id, booked] : all_) {
    if (booked.filter.has_value()) booked.filter->StartBatch();
  }
}

absl::StatusOr<std::vector<int64_t>> SubscriptionBook::WhoWants(const engine::ChangeEvent& event) {
  std::vector<int64_t> wanted_by;
  for (auto& [id, booked] : all_) {
    if (!booked.receives()) continue;
    const absl::StatusOr<bool> wants = booked.filter->Wants(event);
    if (wants.ok()) {
      if (*wants) wanted_by.push_back(id);
      continue;
    }
    if (wants.status().code() == absl::StatusCode::kDataLoss) return wants.status();
    End(id,
        fmt::format("column condition: {}; it gets nothing until its row is mended",
                    base::Message(wants.status())),
        false);
  }
  return wanted_by;
}

OutboxEdit SubscriptionBook::TakeEdit() {
  OutboxEdit edit;
  for (const auto& [id, forgets] : dirty_) {
    edit.upserts.push_back(all_.at(id).stored);
    if (forgets) edit.forgotten.push_back(id);
  }
  edit.removals = std::exchange(removed_, {});
  dirty_.clear();
  changed_ = false;
  return edit;
}

}  // namespace pgflow::sinks
