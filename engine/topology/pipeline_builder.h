// BuildPipeline: a pipeline file and a registry to components, ready to be run. Pure: no network,
// no files.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/config/node.h"
#include "engine/api/registry.h"
#include "engine/runtime/pipeline.h"

namespace pgflow::engine {

struct PipelineParts {
  PipelineOptions options;
  std::string source_type;
  std::unique_ptr<Source> source;
  std::vector<std::unique_ptr<Transformer>> transformers;  // In order.
  std::vector<std::string> transformer_places;             // "mask (pipeline.yaml:9)", of each.
  std::vector<SinkNode> sinks;                             // At least one.
  bool admin_tap = true;                                   // Whether /tap shows changes.
  std::optional<std::string> admin_listen;                 // "host:port"; none: no admin port.

  const std::string& name() const { return options.name; }
};

// Nothing when it added to `problems`; everything that is wrong is reported at once.
std::optional<PipelineParts> BuildPipeline(const config::Node& root, const Registry& registry,
                                           config::Problems& problems);

}  // namespace pgflow::engine
