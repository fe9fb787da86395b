// BlackholeSink: counts what it gets and drops it. For measuring a source; keeps no checkpoint of
// its own.
//
// Threads: as engine/api/sink.h says; the counters may be read from any thread. Never fails.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/config/config_spec.h"
#include "engine/api/registry.h"
#include "engine/api/sink.h"

namespace pgflow::sinks {

struct BlackholeSinkConfig {};

config::ConfigSpec<BlackholeSinkConfig> BlackholeSinkSpec();

class BlackholeSink final : public engine::Sink {
 public:
  static absl::StatusOr<std::unique_ptr<engine::Sink>> Make(BlackholeSinkConfig config);

  absl::Status Open(const engine::SinkContext& context, std::stop_token stop) override;
  absl::StatusOr<std::unique_ptr<engine::SnapshotLane>> OpenLane(std::stop_token stop) override;
  absl::StatusOr<engine::WriteResult> Write(const engine::Window& window,
                                            std::stop_token stop) override;
  absl::StatusOr<engine::StreamPoint> Durable(std::stop_token stop) override;
  absl::Status Close(std::stop_token stop) override;

  uint64_t row_count() const { return row_count_.load(std::memory_order_relaxed); }
  uint64_t byte_count() const { return byte_count_.load(std::memory_order_relaxed); }

 private:
  class Lane;

  void Count(const engine::Batch& batch);

  std::atomic<uint64_t> row_count_{0};
  std::atomic<uint64_t> byte_count_{0};
  engine::StreamPoint durable_;
};

engine::ComponentType<engine::Sink> BlackholeSinkType();

}  // namespace pgflow::sinks
