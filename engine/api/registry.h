// Registry: the components a program knows, by name. Filled by hand in cli/components.cc; nothing
// registers itself.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "base/config/config_spec.h"
#include "base/status.h"
#include "engine/api/sink.h"
#include "engine/api/source.h"
#include "engine/api/transformer.h"

namespace pgflow::engine {

template <typename Component>
struct ComponentType {
  std::string name;     // The key in YAML.
  std::string summary;  // One sentence.
  std::string promise;  // Delivery guarantee, for sinks; else empty.
  std::function<config::SpecDescription()> describe;
  // Parses and validates, pure. Null when it added to `problems`.
  std::function<std::unique_ptr<Component>(const config::Node&, config::Problems&)> make;
};

struct Registry {
  std::vector<ComponentType<Source>> sources;
  std::vector<ComponentType<Transformer>> transformers;
  std::vector<ComponentType<Sink>> sinks;
};

// `spec` declares the fields of Config; `make` checks what a single field cannot know.
template <typename Component, typename Config>
ComponentType<Component> MakeComponentType(
    std::string name, std::string summary, std::string promise,
    config::ConfigSpec<Config> (*spec)(),
    absl::StatusOr<std::unique_ptr<Component>> (*make)(Config)) {
  ComponentType<Component> type{std::move(name), std::move(summary), std::move(promise), {}, {}};
  type.describe = [spec] { return spec().Describe(); };
  type.make = [spec, make](const config::Node& node,
                           config::Problems& problems) -> std::unique_ptr<Component> {
    Config parsed;
    if (!spec().Parse(node, parsed, problems)) return nullptr;
    absl::StatusOr<std::unique_ptr<Component>> component = make(std::move(parsed));
    if (!component.ok()) {
      problems.Add(node, std::string(base::Message(component.status())));
      return nullptr;
    }
    return *std::move(component);
  };
  return type;
}

}  // namespace pgflow::engine
