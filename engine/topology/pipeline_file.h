// PipelineFile: what a pipeline's YAML says, before its components are made.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <absl/time/time.h>

#include "base/bytes.h"
#include "base/config/config_spec.h"
#include "engine/api/registry.h"
#include "engine/runtime/backoff.h"

namespace pgflow::engine {

struct StateSection {
  std::string directory = ".pgflow";
};

struct SpoolSection {
  std::optional<std::string> directory;  // Default: "spool" in the state directory.
  config::ByteSize memory{64 * base::kMiB};
  config::ByteSize size_max{0};
};

struct AdminSection {
  std::string listen = "127.0.0.1:9187";
  bool tap = true;
};

struct DeadLetterSection {
  std::string file;
};

struct PipelineFile {
  std::string name = "pgflow";
  config::Node source;
  config::Node transformers;
  config::Node sinks;
  StateSection state;
  SpoolSection spool;
  std::optional<AdminSection> admin;
  absl::Duration startup_timeout = absl::Minutes(1);
  config::Node tests;  // For chain_test_runner.h.
};

// One entry under `sinks`: what the framework reads beside the component's own key.
struct SinkEntry {
  std::optional<std::string> name;
  std::optional<DeadLetterSection> dead_letter;
  RetryOptions retry;
  // Bound once for every component; which one it was is read from the entry's keys.
  config::Node component;
};

config::ConfigSpec<PipelineFile> PipelineFileSpec();
// The framework's keys of a sink entry; with a registry, also a key for each component.
config::ConfigSpec<SinkEntry> SinkEntrySpec(const Registry* registry);

}  // namespace pgflow::engine
