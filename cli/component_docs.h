// The documentation of every component, from the same declarations that parse its options.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/config/spec_description.h"
#include "engine/api/registry.h"

namespace pgflow::cli {

struct ComponentDescription {
  std::string kind;  // source, transformer, sink, pipeline.
  std::string name;
  std::string summary;
  std::string promise;
  config::SpecDescription options;
};

// "Delivery: promise."; empty for an empty promise.
std::string DeliverySentence(const std::string& promise);

// All components, then the pipeline file itself and what may stand beside a sink.
std::vector<ComponentDescription> DescribeAll(const engine::Registry& registry);

std::string WriteComponentMarkdown(const ComponentDescription& component);

// File name -> contents of docs/components.
std::map<std::string, std::string> WriteComponentDocs(const engine::Registry& registry);

}  // namespace pgflow::cli
