#include "sources/kafka/partition_source.h"

#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "sources/kafka/partition_reader.h"

namespace pgflow::sources {

using postgres::Lsn;

PartitionSource::PartitionSource(Options options) : options_(std::move(options)) {}

engine::SourcePlan PartitionSource::plan() const { return {engine::SourcePlan::Mode::kStream, 1}; }

absl::StatusOr<engine::SourceIdentity> PartitionSource::Open(std::stop_token /*stop*/) {
  if (control_ == nullptr) {
    PGFLOW_ASSIGN_OR_RETURN(
        control_, kafka::Consumer::Make(options_.settings, kafka::Isolation::kReadCommitted));
  }
  return options_.identity;
}

absl::StatusOr<kafka::Consumer::Bounds> PartitionSource::AskBounds(std::stop_token stop) {
  return control_->AskBounds(topic(), partition(), options_.config.timeout, std::move(stop));
}

absl::StatusOr<engine::SlotState> PartitionSource::OpenSlot(bool /*create*/, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const kafka::Consumer::Bounds bounds, AskBounds(std::move(stop)));
  end_ = bounds.end;
  if (options_.committed.has_value() && *options_.committed < bounds.first) {
    return base::MakeStatus(
        absl::StatusCode::kFailedPrecondition,
        "topic {}, partition {}: the group stands at offset {}, but the brokers keep nothing "
        "before "
        "{}: changes are lost. Raise the topic's retention, run `pgflow destroy`, empty the target "
        "and have the topic written anew",
        topic(), partition(), *options_.committed, bounds.first);
  }
  const bool latest = options_.config.start == StartAt::kLatest;
  if (!start_.has_value()) {
    start_ = options_.committed.value_or(latest ? bounds.end : bounds.first);
    // Known to the group from now on, "latest" above all.
    options_.link->MoveTo(*start_);
  }
  return engine::SlotState{false, Lsn(static_cast<uint64_t>(*start_) + 1)};
}

absl::Status PartitionSource::DropSlot(std::stop_token /*stop*/) { return absl::OkStatus(); }

absl::StatusOr<std::unique_ptr<engine::SnapshotSession>> PartitionSource::OpenSnapshot(
    std::stop_token /*stop*/) {
  return absl::UnimplementedError("a topic has no snapshot beside its messages");
}

absl::Status PartitionSource::Run(engine::StreamWriter& out, std::stop_token stop) {
  const Lsn tail = out.tail().end_lsn;
  PartitionReader reader(
      {.settings = options_.settings,
       .format = options_.config.format,
       .unavailable_value = options_.config.unavailable_value,
       .repeats =
           options_.config.repeats.value_or(options_.config.format == MessageFormat::kDebezium),
       .only_partition = options_.only_partition,
       .link = *options_.link,
       .end = end_,
       .telemetry = telemetry_,
       .start = tail.valid() ? static_cast<int64_t>(tail.value()) - 1 : start_.value_or(0)},
      out);
  const absl::Status status = reader.Run(stop);
  if (status.code() == absl::StatusCode::kCancelled) return status;
  return base::Annotate(status, fmt::format("topic {}, partition {}", topic(), partition()));
}

void PartitionSource::Acknowledge(Lsn lsn) {
  if (!lsn.valid()) return;
  options_.link->MoveTo(static_cast<int64_t>(lsn.value()) - 1);
  if (telemetry_ != nullptr) telemetry_->acknowledged_lsn.store(lsn.value());
}

absl::StatusOr<engine::SlotHealth> PartitionSource::Health(std::stop_token /*stop*/) {
  return engine::SlotHealth{"", 0, Lsn(static_cast<uint64_t>(end_.load()) + 1), 0, {}, {}, ""};
}

absl::StatusOr<Lsn> PartitionSource::CurrentLsn(std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const kafka::Consumer::Bounds bounds, AskBounds(std::move(stop)));
  return Lsn(static_cast<uint64_t>(bounds.end) + 1);
}

}  // namespace pgflow::sources
