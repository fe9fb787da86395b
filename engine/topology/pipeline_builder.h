// BuildPipeline: a pipeline file and a registry to components, ready to be run. Pure: no network,
// no files.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/config/node.h"
#include "engine/api/registry.h"
#include "engine/runtime/backoff.h"

namespace pgflow::engine {

struct SinkParts {
  std::string name;  // Unique in the pipeline.
  std::string type;
  std::unique_ptr<Sink> sink;
  std::optional<std::string> dead_letter_file;
  RetryOptions retry;
};

struct PipelineParts {
  std::string name;
  std::string source_type;
  std::unique_ptr<Source> source;
  std::vector<std::unique_ptr<Transformer>> transformers;  // In order.
  std::vector<SinkParts> sinks;                            // At least one.
  std::string state_directory;
  std::string spool_directory;
  uint64_t spool_memory_bytes = 0;
  uint64_t spool_bytes_max = 0;             // 0: no limit.
  std::optional<std::string> admin_listen;  // "host:port"; none: no admin port.
};

// Nothing when it added to `problems`; everything that is wrong is reported at once.
std::optional<PipelineParts> BuildPipeline(const config::Node& root, const Registry& registry,
                                           config::Problems& problems);

}  // namespace pgflow::engine
