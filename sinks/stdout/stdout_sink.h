// StdoutSink: every change as one line (sinks/encoding/event_encoder.h), on standard output or into
// a file. At least once: after a restart the changes since the last checkpoint come again,
// with the same positions. Keeps no checkpoint of its own.
//
// Threads: as engine/api/sink.h says; lanes share the writer. Errors: those of RotatingWriter.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/config/config_spec.h"
#include "engine/api/registry.h"
#include "engine/api/sink.h"
#include "sinks/encoding/event_encoder.h"
#include "sinks/stdout/rotating_writer.h"

namespace pgflow::sinks {

struct RotateConfig {
  std::optional<config::ByteSize> size;
  std::optional<absl::Duration> every;
  uint64_t keep = 0;
  bool compress = false;
};

struct StdoutSinkConfig {
  std::string file;
  std::optional<RotateConfig> rotate{};
  std::vector<std::string> tables;
  EncodingConfig encoding;
};

config::ConfigSpec<StdoutSinkConfig> StdoutSinkSpec();

class StdoutSink final : public engine::Sink {
 public:
  static absl::StatusOr<std::unique_ptr<engine::Sink>> Make(StdoutSinkConfig config);

  explicit StdoutSink(StdoutSinkConfig config);
  ~StdoutSink() override;

  absl::Status Open(const engine::SinkContext& context, std::stop_token stop) override;
  // Lanes must not outlive the sink, nor be used across an Open.
  absl::StatusOr<std::unique_ptr<engine::SnapshotLane>> OpenLane(std::stop_token stop) override;
  absl::StatusOr<engine::WriteResult> Write(const engine::Window& window,
                                            std::stop_token stop) override;
  absl::StatusOr<engine::StreamPoint> Durable(std::stop_token stop) override;

 private:
  class Lines;
  class Lane;

  absl::StatusOr<std::unique_ptr<Lines>> MakeLines() const;

  const StdoutSinkConfig config_;
  engine::SinkContext context_;
  std::shared_ptr<RotatingWriter> writer_;  // Shared with lanes of an earlier Open.
  std::unique_ptr<Lines> lines_;
  engine::StreamPoint written_;
  engine::StreamPoint durable_;  // Written before the last sync.
};

engine::ComponentType<engine::Sink> StdoutSinkType();

}  // namespace pgflow::sinks
