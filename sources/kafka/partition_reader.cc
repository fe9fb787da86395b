#include "sources/kafka/partition_reader.h"

#include <utility>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/pause.h"
#include "base/status.h"

namespace pgflow::sources {
namespace {

using engine::Operation;
using postgres::Lsn;

constexpr size_t kChunkBytes = 256 << 10;
constexpr size_t kChunkRecords = 2000;
constexpr absl::Duration kRest = absl::Milliseconds(100);
constexpr absl::Duration kLookInterval = absl::Milliseconds(20);
// Of a schema change, in the log.
constexpr size_t kTextShown = 300;

kafka::Settings ReaderSettings(const kafka::Settings& settings) {
  kafka::Settings all = settings;
  // Going on at another place than asked for would lose changes without a word.
  all["auto.offset.reset"] = "error";
  // Of each partition, compressed: in memory it is ten times as much, and there may be many.
  all.try_emplace("fetch.message.max.bytes", "262144");
  return all;
}

// The whole update, of its two halves.
void Join(DecodedMessage& deleted, DecodedMessage& inserted) {
  inserted.operation = Operation::kUpdate;
  inserted.before_image = deleted.before_image;
  inserted.before = std::move(deleted.before);
}

}  // namespace

PartitionReader::PartitionReader(Options options, engine::StreamWriter& out)
    : options_(options),
      out_(out),
      decoder_(MakeMessageDecoder(options.format, options.unavailable_value)) {}

absl::Status PartitionReader::Run(const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(consumer_, kafka::Consumer::Make(ReaderSettings(options_.settings),
                                                           kafka::Isolation::kReadCommitted));
  const kafka::TopicPartition& at = options_.link.at();
  const kafka::PartitionOffset from{.partition = at.partition, .offset = options_.start};
  PGFLOW_RETURN_IF_ERROR(consumer_->Assign(at.topic, {&from, 1}));
  base::LogInfo("topic {}, partition {}: reading from offset {}", at.topic, at.partition,
                options_.start);
  out_.Started();
  while (true) {
    if (stop.stop_requested()) return absl::CancelledError("stopped");
    PGFLOW_RETURN_IF_ERROR(Step(stop));
  }
}

absl::Status PartitionReader::Step(const std::stop_token& stop) {
  PGFLOW_RETURN_IF_ERROR(out_.Writable());
  if (!out_.HasRoom()) {
    PGFLOW_RETURN_IF_ERROR(Flush());
    out_.WaitForRoom(kRest, stop);
    return absl::OkStatus();
  }
  const bool gathers = !chunk_.records.empty();
  PGFLOW_ASSIGN_OR_RETURN(const kafka::Polled polled,
                          consumer_->Poll(gathers ? absl::ZeroDuration() : kRest));
  switch (polled.kind) {
    case kafka::Polled::Kind::kNothing:
      return Flush();
    case kafka::Polled::Kind::kEnd:
      return OnEnd(polled.record.offset);
    case kafka::Polled::Kind::kRecord: {
      const absl::Status taken = Take(polled.record, stop);
      if (!taken.ok() && taken.code() != absl::StatusCode::kCancelled) {
        return base::Annotate(taken, fmt::format("offset {}", polled.record.offset));
      }
      PGFLOW_RETURN_IF_ERROR(taken);
      const bool full =
          chunk_.bytes.size() >= kChunkBytes || chunk_.records.size() >= kChunkRecords;
      return full ? Flush() : absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

absl::Status PartitionReader::Take(const kafka::Record& record, const std::stop_token& stop) {
  // A tombstone says nothing that the deletion before it did not.
  if (!record.has_value) return absl::OkStatus();
  if (options_.telemetry != nullptr) {
    options_.telemetry->bytes.fetch_add(record.key.size() + record.value.size(),
                                        std::memory_order_relaxed);
  }
  // No JSON begins with it, and all that goes with a schema registry does.
  if (record.value.starts_with('\0')) {
    return base::MakeStatus(
        absl::StatusCode::kFailedPrecondition,
        "topic {}: the message is Avro (or another format of a schema registry), which the source "
        "kafka does not read: write the topic with encoding: {{format: json, relations: true}}, or "
        "with Debezium's JSON converter and schemas",
        options_.link.at().topic);
  }
  PGFLOW_RETURN_IF_ERROR(decoder_->Decode(record.key, record.value, message_));
  if (message_.kind == DecodedMessage::Kind::kSchemaChange) {
    base::LogWarning(
        "topic {}, partition {}, offset {}: the schema of the first source changed; change the "
        "targets yourself: {}",
        options_.link.at().topic, options_.link.at().partition, record.offset,
        message_.text.substr(0, kTextShown));
    return absl::OkStatus();
  }
  if (message_.operation == Operation::kTruncate) return TakeTruncate(record.offset, stop);
  return TakeRow(record.offset);
}

absl::Status PartitionReader::TakeRow(int64_t offset) {
  const bool second_half = message_.key_changed && message_.operation == Operation::kInsert;
  if (second_half && message_.has_unchanged) {
    if (!held_.has_value() || held_->message.position != message_.position) {
      return base::MakeStatus(
          absl::StatusCode::kFailedPrecondition,
          "table {}: an update changed the key and left a large value as it was, which was not "
          "sent again, and the row under its old key is in another partition: give the table "
          "REPLICA IDENTITY FULL at its source, or its topic one partition",
          message_.schema->table.ToString());
    }
    Join(held_->message, message_);
    held_.reset();
    return Emit(message_, offset);
  }
  PGFLOW_RETURN_IF_ERROR(ReleaseHeld());
  if (message_.key_changed && message_.operation == Operation::kDelete) {
    held_.emplace(Held{message_, offset});
    return absl::OkStatus();
  }
  return Emit(message_, offset);
}

template <typename Done>
absl::Status PartitionReader::Await(const Done& done, const std::stop_token& stop) {
  while (!done()) {
    if (!base::Pause(kLookInterval, stop)) return absl::CancelledError("stopped");
  }
  return absl::OkStatus();
}

absl::Status PartitionReader::AwaitDurable(const std::stop_token& stop) {
  PGFLOW_RETURN_IF_ERROR(Flush());
  return Await([this] { return options_.link.next() > emitted_; }, stop);
}

absl::Status PartitionReader::TakeTruncate(int64_t offset, const std::stop_token& stop) {
  PGFLOW_RETURN_IF_ERROR(ReleaseHeld());
  if (options_.only_partition) return Emit(message_, offset);
  if (options_.format == MessageFormat::kDebezium) {
    return base::MakeStatus(
        absl::StatusCode::kFailedPrecondition,
        "table {}: a TRUNCATE in a topic of several partitions, of which Debezium's envelopes do "
        "not say whether it is in all of them: give the topic one partition, or leave truncates "
        "out (skipped.operations=t)",
        message_.schema->table.ToString());
  }
  PartitionLink& link = options_.link;
  const std::string id =
      fmt::format("{}/{}", message_.position, absl::ToUnixMicros(message_.commit_time));
  // This partition passed it in an earlier life, whose place in the log was not durable yet.
  if (link.is_past(id)) return absl::OkStatus();
  PGFLOW_RETURN_IF_ERROR(AwaitDurable(stop));
  link.WaitAt(id, offset);
  base::LogInfo("topic {}, partition {}: waiting for the other partitions to come to a TRUNCATE",
                link.at().topic, link.at().partition);
  PGFLOW_RETURN_IF_ERROR(Await([&link] { return link.may_pass(); }, stop));
  if (link.at().partition == 0) {
    PGFLOW_RETURN_IF_ERROR(Emit(message_, offset));
    PGFLOW_RETURN_IF_ERROR(AwaitDurable(stop));
  }
  link.Pass();
  return Await([&link] { return link.pass_is_known(); }, stop);
}

absl::Status PartitionReader::ReleaseHeld() {
  if (!held_.has_value()) return absl::OkStatus();
  const Held held = *std::exchange(held_, std::nullopt);
  return Emit(held.message, held.offset);
}

absl::Status PartitionReader::Emit(const DecodedMessage& message, int64_t offset) {
  const auto place = static_cast<uint64_t>(offset);
  engine::EventRecord record;
  record.table = chunk_.TableIndex(message.schema);
  record.xid = message.xid;
  record.transaction = static_cast<uint32_t>(chunk_.transactions.size());
  record.operation = message.operation;
  record.before_image = message.before_image;
  record.replayed = options_.repeats || message.catch_up ? 1 : 0;
  if (message.restart_identity) record.truncate_flags = engine::kTruncateRestartIdentity;
  record.before_offset = static_cast<uint32_t>(chunk_.bytes.size());
  record.before_size = static_cast<uint32_t>(message.before.size());
  chunk_.bytes += message.before;
  record.after_offset = static_cast<uint32_t>(chunk_.bytes.size());
  record.after_size = static_cast<uint32_t>(message.after.size());
  chunk_.bytes += message.after;
  chunk_.records.push_back(record);
  engine::TransactionSpan span;
  span.xid = message.xid;
  span.commit_lsn = Lsn(place + 1);
  span.end_lsn = Lsn(place + 2);
  // Of a snapshot's row nobody said when it was written.
  const bool known = message.commit_time != absl::InfinitePast();
  span.commit_time = known ? message.commit_time : absl::Now();
  span.begins = span.ends = true;
  chunk_.transactions.push_back(span);
  emitted_ = offset;
  return absl::OkStatus();
}

absl::Status PartitionReader::Flush() {
  const kafka::TopicPartition& at = options_.link.at();
  if (const auto end = consumer_->KnownEnd(at.topic, at.partition); end.has_value()) {
    options_.end = *end;
  }
  if (chunk_.records.empty()) return absl::OkStatus();
  if (engine::SourceTelemetry* telemetry = options_.telemetry; telemetry != nullptr) {
    telemetry->events.fetch_add(chunk_.records.size(), std::memory_order_relaxed);
    telemetry->transactions.fetch_add(chunk_.transactions.size(), std::memory_order_relaxed);
    telemetry->received_lsn.store(chunk_.transactions.back().end_lsn.value());
    telemetry->server_lsn.store(static_cast<uint64_t>(options_.end.load()) + 1);
  }
  return out_.Append(std::exchange(chunk_, {}));
}

// What was written together is there together, so the other half of what is held is elsewhere.
absl::Status PartitionReader::OnEnd(int64_t offset) {
  PGFLOW_RETURN_IF_ERROR(ReleaseHeld());
  PGFLOW_RETURN_IF_ERROR(Flush());
  const Lsn lsn(static_cast<uint64_t>(offset) + 1);
  if (options_.telemetry != nullptr) options_.telemetry->received_lsn.store(lsn.value());
  return lsn > out_.tail().end_lsn ? out_.Idle(lsn) : absl::OkStatus();
}

}  // namespace pgflow::sources
