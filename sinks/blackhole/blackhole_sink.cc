#include "sinks/blackhole/blackhole_sink.h"

#include "base/log.h"

namespace pgflow::sinks {

class BlackholeSink::Lane final : public engine::SnapshotLane {
 public:
  // "sink" must outlive this.
  explicit Lane(BlackholeSink& sink) : sink_(sink) {}

  absl::Status BeginRange(const engine::TablePlan&, engine::BlockRange, RangeOptions) override {
    return absl::OkStatus();
  }
  absl::StatusOr<engine::WriteResult> Write(engine::Batch& batch, std::stop_token) override {
    sink_.Count(batch);
    return engine::WriteResult();
  }
  absl::Status FinishRange(std::stop_token) override { return absl::OkStatus(); }
  absl::Status FinishTable(const engine::TablePlan&, std::stop_token) override {
    return absl::OkStatus();
  }

 private:
  BlackholeSink& sink_;
};

config::ConfigSpec<BlackholeSinkConfig> BlackholeSinkSpec() { return {}; }

absl::StatusOr<std::unique_ptr<engine::Sink>> BlackholeSink::Make(BlackholeSinkConfig) {
  return std::make_unique<BlackholeSink>();
}

absl::Status BlackholeSink::Open(const engine::SinkContext&, std::stop_token) {
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<engine::SnapshotLane>> BlackholeSink::OpenLane(std::stop_token) {
  return std::make_unique<Lane>(*this);
}

absl::StatusOr<engine::WriteResult> BlackholeSink::Write(const engine::Window& window,
                                                         std::stop_token) {
  for (const engine::Batch& batch : window.batches) Count(batch);
  if (window.ends_at_commit) durable_ = window.end;
  return engine::WriteResult();
}

absl::StatusOr<engine::StreamPoint> BlackholeSink::Durable(std::stop_token) { return durable_; }

absl::Status BlackholeSink::Close(std::stop_token) {
  base::LogInfo("blackhole: dropped {} rows, {} bytes", row_count(), byte_count());
  return absl::OkStatus();
}

void BlackholeSink::Count(const engine::Batch& batch) {
  row_count_.fetch_add(batch.row_count(), std::memory_order_relaxed);
  byte_count_.fetch_add(batch.byte_count(), std::memory_order_relaxed);
}

engine::ComponentType<engine::Sink> BlackholeSinkType() {
  return engine::MakeComponentType<engine::Sink, BlackholeSinkConfig>(
      "blackhole", "Counts what it gets and drops it, for measuring.", "none", &BlackholeSinkSpec,
      &BlackholeSink::Make);
}

}  // namespace pgflow::sinks
