#include "sinks/webhook/subscribed_sink.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <utility>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/status.h"
#include "engine/api/part_name.h"
#include "sinks/webhook/subscription_row.h"

namespace pgflow::sinks {
namespace {

// What endpoints that are well may still take when the program is told to end.
constexpr absl::Duration kFinish = absl::Seconds(10);

// A lane that brings tables in beside the sink is "NAME+join"; the two share one outbox.
std::string SinkName(const std::string& name) { return name.substr(0, name.find('+')); }

}  // namespace

// Keeps the rows of the subscriptions' table; those of others are sent to nobody.
class SubscribedSink::Lane final : public engine::SnapshotLane {
 public:
  explicit Lane(SubscribedSink& sink) : sink_(sink) {}

  absl::Status BeginRange(const engine::TablePlan& table, engine::BlockRange range,
                          RangeOptions options) override {
    edit_ = {};
    entry_.reset();
    if (options.record) entry_ = {table.source_table, range};
    return absl::OkStatus();
  }

  absl::StatusOr<engine::WriteResult> Write(engine::Batch& batch, std::stop_token) override {
    if (batch.raw_rows() != nullptr && batch.raw_rows()->schema->table != sink_.table_) {
      return engine::WriteResult();
    }
    PGFLOW_ASSIGN_OR_RETURN(const std::span<const engine::ChangeEvent> events, batch.Events());
    for (const engine::ChangeEvent& event : events) {
      if (event.schema->table != sink_.table_) continue;
      PGFLOW_RETURN_IF_ERROR(rows_.Decode(event));
      const RowValues& row = *rows_.change().after;
      PGFLOW_ASSIGN_OR_RETURN(std::string key, SubscriptionKey(*event.schema, row));
      edit_.upserts.push_back({0, std::move(key), SubscriptionJson(*event.schema, row, ""), ""});
    }
    return engine::WriteResult();
  }

  absl::Status FinishRange(std::stop_token) override {
    if (edit_.upserts.empty() && !entry_.has_value()) return absl::OkStatus();
    PGFLOW_RETURN_IF_ERROR(sink_.outbox_->CommitRange(edit_, entry_, *sink_.store_));
    if (!edit_.upserts.empty()) sink_.reload_ = true;
    return absl::OkStatus();
  }
  absl::Status FinishTable(const engine::TablePlan&, std::stop_token) override {
    return absl::OkStatus();
  }

 private:
  SubscribedSink& sink_;
  ChangeRows rows_;
  OutboxEdit edit_;
  std::optional<Outbox::LedgerEntry> entry_;
};

absl::StatusOr<std::unique_ptr<engine::Sink>> SubscribedSink::Make(WebhookConfig config) {
  const SubscriptionConfig plain;
  const SubscriptionConfig& subscribe = config.subscribe;
  if (!config.url.empty() || !config.secrets.empty() || !subscribe.tables.empty() ||
      subscribe.operations != plain.operations || !subscribe.changed_columns.empty() ||
      subscribe.when.has_value()) {
    return absl::InvalidArgumentError(
        "with 'subscriptions', the rows of its table say what 'url', 'secrets' and 'subscribe' "
        "would: leave them out");
  }
  const http::AuthConfig& auth = config.connection.auth;
  if (!auth.username.empty() || !auth.bearer_token.empty() || auth.aws.has_value() ||
      !config.connection.tls.certificate_file.empty()) {
    return absl::InvalidArgumentError(
        "connection: with 'subscriptions' auth and a certificate would be shown to every endpoint; "
        "write what one needs into the headers of its row");
  }
  const std::string& name = config.subscriptions->table;
  const size_t dot = name.find('.');
  if (dot == std::string::npos || dot == 0 || dot + 1 == name.size()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "subscriptions.table: '{}' is no schema.name; public.{}?", name, name);
  }
  PGFLOW_RETURN_IF_ERROR(MessageMaker::Make(config, {}).status());
  // What all endpoints have in common, tried on one that there could be.
  PGFLOW_RETURN_IF_ERROR(
      EndpointConfig(config, R"({"url": "https://endpoint.example/"})").status());
  schemas::TableName table{name.substr(0, dot), name.substr(dot + 1)};
  return std::unique_ptr<engine::Sink>(new SubscribedSink(std::move(config), std::move(table)));
}

SubscribedSink::~SubscribedSink() = default;

absl::Status SubscribedSink::Open(const engine::SinkContext& context, std::stop_token) {
  if (!engine::PartOf(context.pipeline).empty()) {
    return absl::FailedPreconditionError(
        "subscriptions: they need a source that is one log; each partition would know other rows "
        "of the table");
  }
  if (outbox_ == nullptr) {
    const std::string name = SinkName(context.sink);
    delivers_ = name == context.sink;
    PGFLOW_ASSIGN_OR_RETURN(
        outbox_, Outbox::Open(context.state_directory, Outbox::FileOf(context.pipeline, name),
                              delivers_ ? 1 : 2));
    store_ = outbox_->MakeStore(context.pipeline, context.sink);
  }
  PGFLOW_ASSIGN_OR_RETURN(maker_, MessageMaker::Make(config_, context));
  PGFLOW_RETURN_IF_ERROR(outbox_->DropParts());
  PGFLOW_RETURN_IF_ERROR(LoadBook());
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<engine::SinkCheckpoint> checkpoint, store_->Load());
  written_ = checkpoint.has_value() ? checkpoint->stream : engine::StreamPoint();
  reload_ = true;  // A checkpoint that begins anew empties the outbox.
  return absl::OkStatus();
}

absl::Status SubscribedSink::LoadBook() {
  reload_ = false;
  PGFLOW_RETURN_IF_ERROR(outbox_->ChangedByOthers().status());
  PGFLOW_ASSIGN_OR_RETURN(std::vector<StoredSubscription> stored, outbox_->Subscriptions());
  PGFLOW_ASSIGN_OR_RETURN(const int64_t next, outbox_->NextSubscription());
  book_.Load(std::move(stored), next);
  edit_ = {};
  added_to_.clear();
  inside_ = false;
  SyncEndpoints();
  return absl::OkStatus();
}

absl::StatusOr<std::optional<engine::SinkCheckpoint>> SubscribedSink::PeekCheckpoint(
    const engine::SinkContext& context, std::stop_token) {
  const std::string file = Outbox::FileOf(context.pipeline, SinkName(context.sink));
  std::error_code ignored;
  if (!std::filesystem::exists(context.state_directory + "/" + file, ignored)) return std::nullopt;
  PGFLOW_ASSIGN_OR_RETURN(const std::unique_ptr<engine::SqliteDatabase> database,
                          engine::SqliteDatabase::Open(context.state_directory, file, ""));
  return engine::SqliteCheckpointStore(*database, context.pipeline, context.sink).Load();
}

absl::StatusOr<std::vector<engine::Finding>> SubscribedSink::Check(
    const schemas::DatabaseDefinition&, std::span<const engine::TablePlan> tables,
    std::stop_token) {
  const auto found = std::ranges::find_if(tables, [this](const engine::TablePlan& plan) {
    return plan.schema != nullptr && plan.schema->table == table_;
  });
  if (found != tables.end()) return CheckSubscriptionTable(*found->schema);
  return std::vector<engine::Finding>{
      {engine::Finding::Severity::kError, "table " + table_.ToString(),
       "it names the endpoints and is none of the tables that come here",
       "add it to the source's tables; where it does not exist: " + SubscriptionTableSql(table_)}};
}

absl::Status SubscribedSink::ResetTable(const engine::TablePlan& table, std::stop_token) {
  if (table.schema == nullptr || table.schema->table != table_) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<StoredSubscription> stored, outbox_->Subscriptions());
  OutboxEdit edit;
  for (const StoredSubscription& each : stored) edit.removals.push_back(each.id);
  reload_ = true;
  return outbox_->CommitRange(edit, std::nullopt, *store_);
}

absl::StatusOr<std::unique_ptr<engine::SnapshotLane>> SubscribedSink::OpenLane(std::stop_token) {
  return std::make_unique<Lane>(*this);
}

absl::Status SubscribedSink::LimitBacklogs() {
  std::vector<std::pair<int64_t, std::string>> full;
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<int64_t> ids,
                          outbox_->FullFrom(config_.subscriptions->backlog.bytes));
  if (!ids.empty()) {
    base::MutexLock lock(&mutex_);
    for (const int64_t id : ids) {
      const auto found = endpoints_.find(id);
      if (found != endpoints_.end()) full.emplace_back(id, found->second->status().name);
    }
  }
  for (const auto& [id, name] : full) {
    const std::string what = fmt::format("more waits for it than subscriptions.backlog allows ({})",
                                         config_.subscriptions->backlog);
    if (config_.subscriptions->when_full == WhenFull::kWait) {
      return base::MakeStatus(absl::StatusCode::kResourceExhausted,
                              "subscription {}: {}; mend its receiver, or raise 'backlog', or set "
                              "when_full: end",
                              name, what);
    }
    book_.End(id, what + ": it has lost what waited and gets nothing until its row is changed",
              true);
  }
  return absl::OkStatus();
}

absl::Status SubscribedSink::Put(const engine::Batch& batch, const engine::ChangeEvent& event,
                                 size_t index) {
  PGFLOW_ASSIGN_OR_RETURN(std::vector<int64_t> wanted_by, book_.WhoWants(event));
  if (wanted_by.empty()) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(WebhookMessage message, maker_->Make(batch, event, index));
  added_to_.insert(wanted_by.begin(), wanted_by.end());
  OutboxMessage each;
  each.table = event.schema->table;
  each.barrier = MessageMaker::IsBarrier(event);
  each.owed_to = std::move(wanted_by);
  each.message = std::move(message);
  each.message.table = nullptr;  // Of the batch.
  edit_.messages.push_back(std::move(each));
  return absl::OkStatus();
}

absl::Status SubscribedSink::Take(engine::Batch& batch) {
  PGFLOW_ASSIGN_OR_RETURN(const std::span<const engine::ChangeEvent> events, batch.Events());
  book_.StartBatch();
  maker_->StartBatch();
  for (size_t i = 0; i < events.size(); ++i) {
    absl::Status status =
        events[i].schema->table == table_ ? book_.Apply(events[i]) : Put(batch, events[i], i);
    if (status.ok()) continue;
    base::SetPayload(status, engine::kCulpritPayload, batch.PositionOf(events[i]).ToString());
    return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<engine::WriteResult> SubscribedSink::Write(const engine::Window& window,
                                                          std::stop_token) {
  if (!inside_) {
    PGFLOW_ASSIGN_OR_RETURN(const bool others, outbox_->ChangedByOthers());
    if (others || reload_) PGFLOW_RETURN_IF_ERROR(LoadBook());
    PGFLOW_RETURN_IF_ERROR(LimitBacklogs());
  }
  for (engine::Batch& batch : window.batches) PGFLOW_RETURN_IF_ERROR(Take(batch));
  PGFLOW_RETURN_IF_ERROR(Commit(window));
  return engine::WriteResult();
}

absl::Status SubscribedSink::Commit(const engine::Window& window) {
  const bool changed = book_.changed();
  if (window.ends_at_commit) {
    // What changes of the subscriptions counts with the commit; till then only the book knows.
    OutboxEdit edit = book_.TakeEdit();
    edit.messages = std::move(edit_.messages);
    edit_ = std::move(edit);
  }
  std::optional<engine::StreamPoint> end;
  if (window.ends_at_commit) {
    end = window.end;
    if (changed) EndOutdated(edit_.forgotten);
  }
  PGFLOW_RETURN_IF_ERROR(outbox_->Commit(edit_, end, *store_));
  edit_ = {};
  inside_ = !window.ends_at_commit;
  if (inside_) return absl::OkStatus();
  written_ = window.end;
  {
    base::MutexLock lock(&mutex_);
    for (const int64_t id : added_to_) {
      const auto found = endpoints_.find(id);
      if (found != endpoints_.end()) found->second->Wake();
    }
  }
  if (changed) SyncEndpoints();
  added_to_.clear();
  return absl::OkStatus();
}

engine::EndpointStatus SubscribedSink::StatusOf(const BookedSubscription& booked) const {
  engine::EndpointStatus status;
  status.name = booked.stored.key;
  status.error = booked.error;
  status.state = booked.enabled ? "rejected" : "disabled";
  ShowBacklog(*outbox_, booked.stored.id, status);
  return status;
}

void SubscribedSink::EndOutdated(const std::vector<int64_t>& forgotten) {
  std::vector<std::unique_ptr<Endpoint>> outdated;  // They end without the lock.
  base::MutexLock lock(&mutex_);
  for (auto at = endpoints_.begin(); at != endpoints_.end();) {
    const auto booked = book_.all().find(at->first);
    const bool stays = booked != book_.all().end() && booked->second.is_served() &&
                       booked->second.stored.row == at->second->row() &&
                       std::ranges::find(forgotten, at->first) == forgotten.end();
    if (!stays) outdated.push_back(std::move(at->second));
    at = stays ? std::next(at) : endpoints_.erase(at);
  }
}

void SubscribedSink::SyncEndpoints() {
  if (!delivers_) return;
  EndOutdated({});  // Before others begin for the same subscriptions.
  std::vector<engine::EndpointStatus> others;
  std::map<int64_t, std::string> ended;
  for (const auto& [id, booked] : book_.all()) {
    if (!booked.stored.error.empty()) ended[id] = booked.stored.error;
    if (!booked.is_served()) {
      others.push_back(StatusOf(booked));
      continue;
    }
    {
      base::MutexLock lock(&mutex_);
      if (endpoints_.contains(id)) continue;
    }
    absl::StatusOr<std::unique_ptr<Endpoint>> made = Endpoint::Make(
        booked.stored, *booked.config, config_.subscriptions->when_refused, *outbox_);
    if (!made.ok()) {
      engine::EndpointStatus& status = others.emplace_back(StatusOf(booked));
      status.state = "rejected";
      status.error = base::Message(made.status());
      base::LogError("subscription {}: {}", booked.stored.key, status.error);
      continue;
    }
    (*made)->Start();
    base::MutexLock lock(&mutex_);
    endpoints_.emplace(id, *std::move(made));
  }
  base::MutexLock lock(&mutex_);
  ended_ = std::move(ended);
  others_ = std::move(others);
}

std::vector<engine::EndpointStatus> SubscribedSink::endpoints() const {
  base::MutexLock lock(&mutex_);
  std::vector<engine::EndpointStatus> all = others_;
  for (const auto& [id, endpoint] : endpoints_) {
    engine::EndpointStatus& status = all.emplace_back(endpoint->status());
    const auto ended = ended_.find(id);
    if (ended == ended_.end()) continue;
    status.state = "ended";
    status.error = ended->second;
  }
  std::ranges::sort(all, {}, &engine::EndpointStatus::name);
  return all;
}

absl::Status SubscribedSink::Close(std::stop_token) {
  const absl::Time until = absl::Now() + kFinish;
  std::map<int64_t, std::unique_ptr<Endpoint>> endpoints;
  {
    base::MutexLock lock(&mutex_);
    endpoints = std::move(endpoints_);
    endpoints_.clear();
  }
  for (const auto& [id, endpoint] : endpoints) endpoint->Finish(until);
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
