#include "sinks/kafka/checkpoint_store.h"

#include <algorithm>
#include <random>
#include <set>
#include <utility>

#include <absl/time/clock.h>

#include "base/pause.h"
#include "base/status.h"
#include "engine/api/takeover.h"

namespace pgflow::sinks {
namespace {

using engine::BlockRange;
using engine::SinkCheckpoint;
using engine::StreamPoint;
using engine::TableProgress;
using kafka::Polled;

// Compaction has to keep up with a record every few milliseconds, and markers of transactions stay
// for delete.retention.ms: the topic stays at a few megabytes, which are read in a blink.
kafka::TopicSpec CheckpointTopic(const std::string& name) {
  return {.name = name,
          .partitions = 1,
          .replication_factor = -1,
          .settings = {{"cleanup.policy", "compact"},
                       {"segment.bytes", "4194304"},
                       {"segment.ms", "3600000"},
                       {"min.cleanable.dirty.ratio", "0.1"},
                       {"delete.retention.ms", "600000"}}};
}

// How long a pgflow that takes over may need from its first step to its signature.
constexpr absl::Duration kSigningTime = absl::Seconds(3);

std::string RandomName() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

}  // namespace

absl::Status SendRecord(kafka::Producer& producer, const std::string& topic,
                        const CheckpointRecord& record, std::stop_token stop) {
  kafka::Message message;
  PGFLOW_ASSIGN_OR_RETURN(message.topic, producer.TopicIndex(topic));
  message.partition = 0;
  message.has_key = true;
  message.key = record.key;
  message.has_value = record.value.has_value();
  if (message.has_value) message.value = *record.value;
  return producer.Send(message, std::move(stop));
}

KafkaCheckpointStore::KafkaCheckpointStore(Options options)
    : options_(std::move(options)), keys_(options_.pipeline, options_.sink) {}

std::string KafkaCheckpointStore::TransactionalId() const {
  return fmt::format("pgflow-{}-{}", options_.pipeline, options_.sink);
}

std::string KafkaCheckpointStore::LaneId(const std::string& owner, uint32_t lane) const {
  return fmt::format("{}-lane-{}-{}", TransactionalId(), owner, lane);
}

absl::StatusOr<std::unique_ptr<kafka::Producer>> KafkaCheckpointStore::MakeProducer(
    const kafka::Settings& settings, const std::string& id, std::stop_token stop) const {
  return kafka::Producer::MakeTransactional(
      {.settings = settings, .transactional_id = id, .patience = options_.patience},
      std::move(stop));
}

absl::Status KafkaCheckpointStore::StartReading() {
  records_.emplace(keys_);
  next_offset_ = 0;
  reader_.reset();
  return absl::OkStatus();
}

absl::StatusOr<bool> KafkaCheckpointStore::ReadOn(std::stop_token stop) {
  if (reader_ == nullptr) {
    kafka::Settings settings = options_.settings;
    // How long a broker waits before it says that there is nothing more.
    settings["fetch.wait.max.ms"] = "20";
    settings["check.crcs"] = "true";
    PGFLOW_ASSIGN_OR_RETURN(reader_,
                            kafka::Consumer::Make(settings, kafka::Isolation::kReadCommitted));
    const kafka::PartitionOffset start{.partition = 0, .offset = next_offset_};
    PGFLOW_RETURN_IF_ERROR(reader_->Assign(options_.topic, {&start, 1}));
    reader_at_end_ = false;
  }
  const absl::Time deadline = absl::Now() + options_.patience;
  while (!stop.stop_requested()) {
    PGFLOW_ASSIGN_OR_RETURN(const Polled polled, reader_->Poll(absl::Milliseconds(100)));
    if (polled.kind == Polled::Kind::kRecord) {
      reader_at_end_ = false;
      next_offset_ = polled.record.offset + 1;
      if (!polled.record.has_key) continue;
      std::optional<std::string_view> value;
      if (polled.record.has_value) value = polled.record.value;
      PGFLOW_RETURN_IF_ERROR(records_->Apply(polled.record.key, value));
      continue;
    }
    if (polled.kind == Polled::Kind::kEnd) {
      reader_at_end_ = true;
      next_offset_ = std::max(next_offset_, polled.record.offset);
    }
    if (reader_at_end_) {
      // Of the same answer that said "end": what it counts is there, committed or not.
      const std::optional<int64_t> end = reader_->KnownEnd(options_.topic, 0);
      return end.has_value() && next_offset_ >= *end;
    }
    if (absl::Now() > deadline) {
      return base::MakeStatus(absl::StatusCode::kUnavailable,
                              "checkpoint topic {}: no answer from the brokers for {}",
                              options_.topic, absl::FormatDuration(options_.patience));
    }
  }
  return absl::CancelledError("stopped while the checkpoint was read");
}

absl::Status KafkaCheckpointStore::ReadAll(std::stop_token stop) {
  const absl::Time deadline = absl::Now() + options_.patience;
  // A new reader: what the old one knows of the end may be older than this call.
  reader_.reset();
  while (true) {
    PGFLOW_ASSIGN_OR_RETURN(const bool all, ReadOn(stop));
    if (all) break;
    if (absl::Now() > deadline) {
      return base::MakeStatus(absl::StatusCode::kUnavailable,
                              "checkpoint topic {}: a transaction is open at offset {}, and what "
                              "is behind it cannot be read",
                              options_.topic, next_offset_);
    }
    if (!base::Pause(absl::Milliseconds(10), stop)) return absl::CancelledError("stopped");
  }
  reader_.reset();
  return absl::OkStatus();
}

// The lanes of a predecessor: their open transactions are aborted, and they cannot begin others. A
// transaction of one lane may hide the record that names another.
absl::Status KafkaCheckpointStore::FenceLanes(std::stop_token stop) {
  const absl::Time deadline = absl::Now() + options_.patience;
  std::vector<std::string> fenced;
  while (true) {
    PGFLOW_ASSIGN_OR_RETURN(const bool all, ReadOn(stop));
    bool found = false;
    for (const uint32_t lane : records_->owner().lanes) {
      const std::string id = LaneId(records_->owner().name, lane);
      if (std::ranges::find(fenced, id) != fenced.end()) continue;
      PGFLOW_RETURN_IF_ERROR(MakeProducer(options_.settings, id, stop).status());
      fenced.push_back(id);
      found = true;
    }
    // Once more after the last one: it may have committed just before.
    if (all && !found) break;
    if (absl::Now() > deadline) {
      return base::MakeStatus(absl::StatusCode::kUnavailable,
                              "checkpoint topic {}: a transaction is open at offset {}, and what "
                              "is behind it cannot be read",
                              options_.topic, next_offset_);
    }
    if (found) reader_.reset();
    if (!base::Pause(absl::Milliseconds(10), stop)) return absl::CancelledError("stopped");
  }
  reader_.reset();
  return absl::OkStatus();
}

bool KafkaClaim::IsOurs(const std::string& owner) const {
  return std::ranges::find(names, owner) != names.end();
}

absl::Status KafkaCheckpointStore::Look(TopicBook& topics, KafkaClaim& claim,
                                        const engine::ConfirmSlot& confirm_slot,
                                        std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(topics.Ensure(CheckpointTopic(options_.topic), stop).status());
  const base::MutexLock lock(&mutex_);
  stop_ = stop;
  PGFLOW_RETURN_IF_ERROR(StartReading());
  // What is hidden behind an open transaction shows in Open.
  PGFLOW_RETURN_IF_ERROR(ReadOn(stop).status());
  claim.held = claim.held || claim.IsOurs(records_->owner().name);
  if (claim.held && !claim.IsOurs(records_->owner().name)) return TakenOver();
  return claim.held || confirm_slot == nullptr ? absl::OkStatus() : confirm_slot(std::move(stop));
}

// Once the store's producer is made nobody signs until another one is. So whoever sees then whose
// the sink is, that the slot is its own, and signs, has had the slot in between.
absl::Status KafkaCheckpointStore::Open(KafkaClaim& claim, const engine::ConfirmSlot& confirm_slot,
                                        std::stop_token stop) {
  const base::MutexLock lock(&mutex_);
  stop_ = stop;
  producer_.reset();
  PGFLOW_ASSIGN_OR_RETURN(producer_,
                          MakeProducer(options_.settings, TransactionalId() + "-store", stop));
  reader_.reset();  // What it knows of the end may be older than the producer.
  PGFLOW_RETURN_IF_ERROR(FenceLanes(stop));
  claim.held = claim.held || claim.IsOurs(records_->owner().name);
  if (claim.held && !claim.IsOurs(records_->owner().name)) return TakenOver();
  if (!claim.held && confirm_slot != nullptr) PGFLOW_RETURN_IF_ERROR(confirm_slot(stop));
  owner_ = {.name = RandomName(), .lanes = {}};
  next_lane_ = 0;
  claim.names.push_back(owner_.name);
  const absl::Status status = WriteOnce({keys_.Owner(owner_)});
  if (!base::Payload(status, kafka::kFencedPayload).empty()) {
    return base::MakeStatus(absl::StatusCode::kAborted,
                            "another pgflow opened sink {} of pipeline {} at the same moment",
                            options_.sink, options_.pipeline);
  }
  PGFLOW_RETURN_IF_ERROR(status);
  claim = {.held = true, .names = {owner_.name}};
  return absl::OkStatus();
}

absl::StatusOr<std::optional<SinkCheckpoint>> KafkaCheckpointStore::Peek(TopicBook& topics,
                                                                         std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<int32_t> partitions,
                          topics.Count(options_.topic, stop));
  if (!partitions.has_value()) return std::optional<SinkCheckpoint>();
  const base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(StartReading());
  // What is hidden behind an open transaction of the pgflow that runs is not there yet.
  PGFLOW_RETURN_IF_ERROR(ReadOn(std::move(stop)).status());
  reader_.reset();
  return records_->checkpoint();
}

// Registered before its first transaction: a pgflow that was replaced cannot register, and one that
// takes over finds every id that was ever used, each for one producer only.
absl::StatusOr<std::unique_ptr<kafka::Producer>> KafkaCheckpointStore::OpenLane(
    const kafka::Settings& settings, std::stop_token stop) {
  const base::MutexLock lock(&mutex_);
  const uint32_t lane = next_lane_++;
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<kafka::Producer> producer,
                          MakeProducer(settings, LaneId(owner_.name, lane), std::move(stop)));
  CheckpointOwner owner = owner_;
  owner.lanes.push_back(lane);
  PGFLOW_RETURN_IF_ERROR(Write({keys_.Owner(owner)}));
  owner_ = std::move(owner);
  return producer;
}

absl::Status KafkaCheckpointStore::TakenOver() const {
  absl::Status status =
      base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                       "another pgflow has taken over sink {} of pipeline {}: this one stops",
                       options_.sink, options_.pipeline);
  base::SetPayload(status, engine::kTakenOverPayload, "1");
  return status;
}

absl::Status KafkaCheckpointStore::Explain(const absl::Status& status, std::stop_token stop) {
  if (base::Payload(status, kafka::kFencedPayload).empty()) return status;
  const base::MutexLock lock(&mutex_);
  // Whoever takes over fences first and signs afterwards.
  const absl::Time deadline = absl::Now() + kSigningTime;
  do {
    if (!ReadAll(stop).ok()) break;
    if (records_->owner().name != owner_.name) return TakenOver();
  } while (absl::Now() < deadline && base::Pause(absl::Milliseconds(100), stop));
  return base::MakeStatus(
      absl::StatusCode::kAborted,
      "{}; nobody else has taken over, so the brokers aborted a transaction that took longer than "
      "transaction_timeout: it is written anew. If that happens again, raise it",
      base::Message(status));
}

// After an error a new producer is needed. It takes the place of whoever has it, so look afterwards
// whether that was still ourselves.
absl::Status KafkaCheckpointStore::Recover() {
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<kafka::Producer> producer,
                          MakeProducer(options_.settings, TransactionalId() + "-store", stop_));
  PGFLOW_RETURN_IF_ERROR(ReadAll(stop_));
  if (records_->owner().name != owner_.name) return TakenOver();
  producer_ = std::move(producer);
  return absl::OkStatus();
}

absl::Status KafkaCheckpointStore::WriteOnce(const Records& records) {
  absl::Status status = producer_->Begin();
  for (const CheckpointRecord& record : records) {
    if (status.ok()) status = SendRecord(*producer_, options_.topic, record, stop_);
  }
  if (status.ok()) status = producer_->Commit(stop_);
  if (!status.ok() || producer_->worn()) producer_.reset();
  return status;
}

absl::Status KafkaCheckpointStore::Write(const Records& records) {
  if (producer_ == nullptr) PGFLOW_RETURN_IF_ERROR(Recover());
  absl::Status status = WriteOnce(records);
  if (base::Payload(status, kafka::kFencedPayload).empty()) return status;
  // By whom: Recover tells. When nobody has taken over, it was the brokers' time limit.
  PGFLOW_RETURN_IF_ERROR(Recover());
  return WriteOnce(records);
}

absl::StatusOr<std::optional<SinkCheckpoint>> KafkaCheckpointStore::Load() {
  const base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(ReadAll(stop_));
  if (records_->owner().name != owner_.name) return TakenOver();
  return records_->checkpoint();
}

absl::Status KafkaCheckpointStore::Begin(const engine::SourceIdentity& identity,
                                         StreamPoint start) {
  const base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(ReadAll(stop_));
  Records records;
  for (std::string& key : records_->Keys()) records.push_back({std::move(key), std::nullopt});
  records.push_back(keys_.Stream(start));
  SinkCheckpoint checkpoint;
  checkpoint.identity = identity;
  records.push_back(keys_.Sink(checkpoint));
  return Write(records);
}

absl::Status KafkaCheckpointStore::BeginTables(std::span<const TableProgress> tables) {
  const base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(ReadAll(stop_));
  std::set<schemas::TableName> names;
  for (const TableProgress& table : tables) names.insert(table.table);
  Records records;
  for (std::string& key : records_->KeysOf(names)) {
    records.push_back({std::move(key), std::nullopt});
  }
  for (const TableProgress& table : tables) {
    records.push_back(keys_.Table(table));
    for (const BlockRange& range : table.finished) {
      records.push_back(keys_.Range(table.table, range));
    }
  }
  return Write(records);
}

absl::Status KafkaCheckpointStore::FinishRange(const schemas::TableName& table, BlockRange range) {
  const base::MutexLock lock(&mutex_);
  return Write({keys_.Range(table, range)});
}

absl::Status KafkaCheckpointStore::FinishTables(std::span<const schemas::TableName> tables) {
  const base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(ReadAll(stop_));
  std::optional<SinkCheckpoint> checkpoint = records_->checkpoint();
  if (!checkpoint.has_value()) return absl::InternalError("FinishTables before Begin");
  const std::set<schemas::TableName> wanted(tables.begin(), tables.end());
  Records records;
  size_t found = 0;
  for (TableProgress& progress : checkpoint->tables) {
    if (!wanted.contains(progress.table)) continue;
    ++found;
    progress.complete = true;
    records.push_back(keys_.Table(progress));
    // The ranges of a complete table are of no use.
    for (const BlockRange& range : progress.finished) {
      records.push_back({keys_.Range(progress.table, range).key, std::nullopt});
    }
  }
  if (found != wanted.size()) return absl::InternalError("FinishTables of no table");
  return Write(records);
}

absl::Status KafkaCheckpointStore::ChangeSink(void (*change)(SinkCheckpoint&, uint64_t),
                                              uint64_t value) {
  const base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(ReadAll(stop_));
  std::optional<SinkCheckpoint> checkpoint = records_->checkpoint();
  if (!checkpoint.has_value()) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "the checkpoint of sink {} was removed from topic {}", options_.sink,
                            options_.topic);
  }
  change(*checkpoint, value);
  return Write({keys_.Sink(*checkpoint)});
}

absl::Status KafkaCheckpointStore::FinishSnapshot(postgres::Lsn lsn) {
  return ChangeSink(
      [](SinkCheckpoint& sink, uint64_t value) {
        sink.snapshot_complete = true;
        sink.snapshot_lsn = postgres::Lsn(value);
      },
      lsn.value());
}

absl::Status KafkaCheckpointStore::AdvanceStream(StreamPoint point) {
  const base::MutexLock lock(&mutex_);
  return Write({keys_.Stream(point)});
}

absl::Status KafkaCheckpointStore::FollowTimeline(uint32_t timeline) {
  return ChangeSink([](SinkCheckpoint& sink,
                       uint64_t value) { sink.identity.timeline = static_cast<uint32_t>(value); },
                    timeline);
}

absl::Status KafkaCheckpointStore::Forget() {
  const base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(ReadAll(stop_));
  Records records;
  for (std::string& key : records_->Keys()) records.push_back({std::move(key), std::nullopt});
  // The owner stays: without it a pgflow that was replaced could not know that it was.
  return Write(records);
}

}  // namespace pgflow::sinks
