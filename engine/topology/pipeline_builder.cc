#include "engine/topology/pipeline_builder.h"

#include <charconv>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "engine/topology/pipeline_file.h"

namespace pgflow::engine {
namespace {

// Slot names are at most 63 bytes, and defaults put a word before or behind this one.
constexpr size_t kNameMax = 40;

bool IsName(std::string_view name) {
  if (name.empty() || name.size() > kNameMax) return false;
  for (const char c : name) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    if (!good) return false;
  }
  return true;
}

bool IsListenAddress(std::string_view listen) {
  const size_t colon = listen.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view port = listen.substr(colon + 1);
  int number = -1;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  return error == std::errc() && end == port.data() + port.size() && number >= 0 && number <= 65535;
}

template <typename Component>
const ComponentType<Component>* FindType(const std::vector<ComponentType<Component>>& types,
                                         std::string_view name) {
  for (const ComponentType<Component>& type : types) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

template <typename Component>
std::string TypeNames(const std::vector<ComponentType<Component>>& types) {
  std::string names;
  for (const ComponentType<Component>& type : types) {
    names += (names.empty() ? "" : ", ") + type.name;
  }
  return names;
}

// An entry that holds one component and nothing else: sources and transformers.
struct BareEntry {
  config::Node component;
};

template <typename Component>
config::ConfigSpec<BareEntry> BareEntrySpec(const std::vector<ComponentType<Component>>& types) {
  config::ConfigSpec<BareEntry> spec;
  for (const ComponentType<Component>& type : types) {
    spec.Field(type.name, &BareEntry::component, type.summary);
  }
  return spec;
}

// The one component that `entry` names. Null with a problem when it names none or several; null
// without one when the entry was reported already.
template <typename Component>
const ComponentType<Component>* TypeOf(const config::Node& entry, std::string_view what,
                                       const std::vector<ComponentType<Component>>& types,
                                       bool reported, config::Problems& problems) {
  const ComponentType<Component>* found = nullptr;
  for (const auto& [key, value] : entry.entries()) {
    const ComponentType<Component>* type = FindType(types, key.text());
    if (type == nullptr) continue;
    if (found != nullptr) {
      problems.Add(key, fmt::format("one {} an entry; '{}' and '{}' cannot share one", what,
                                    found->name, type->name));
      return nullptr;
    }
    found = type;
  }
  if (found == nullptr && !reported) {
    problems.Add(entry,
                 fmt::format("a {} is missing here; write one of: {}", what, TypeNames(types)));
  }
  return found;
}

std::unique_ptr<Source> BuildSource(const config::Node& node, const Registry& registry,
                                    std::string& type_name, config::Problems& problems) {
  BareEntry entry;
  const bool good = BareEntrySpec(registry.sources).Parse(node, entry, problems);
  const auto* type = TypeOf(node, "source", registry.sources, !good, problems);
  if (type == nullptr) return nullptr;
  type_name = type->name;
  return type->make(entry.component, problems);
}

void BuildTransformers(const config::Node& node, const Registry& registry, PipelineParts& parts,
                       config::Problems& problems) {
  if (node.is_absent() || node.is_null()) return;
  if (!node.is_list()) {
    problems.Add(node, "'transformers' must be a list: begin each entry with '- '");
    return;
  }
  const auto spec = BareEntrySpec(registry.transformers);
  for (const config::Node& item : node.items()) {
    BareEntry entry;
    const bool good = spec.Parse(item, entry, problems);
    const auto* type = TypeOf(item, "transformer", registry.transformers, !good, problems);
    if (type == nullptr) continue;
    parts.transformers.push_back(type->make(entry.component, problems));
    parts.transformer_places.push_back(
        fmt::format("{} ({}:{})", type->name, item.file(), item.line()));
  }
}

// Sinks without a name get their type's, numbered where that is taken.
void NameSinks(const config::Node& node, std::vector<SinkNode>& sinks, config::Problems& problems) {
  std::set<std::string> taken;
  for (size_t i = 0; i < sinks.size(); ++i) {
    const std::string& name = sinks[i].name;
    if (name.empty()) continue;
    const config::Node place = node.items()[i].Find("name");
    if (!IsName(name)) {
      problems.Add(place, fmt::format("'{}' must be 1 to {} of a-z, 0-9 and _, not {}",
                                      place.path(), kNameMax, place.Quoted()));
    } else if (!taken.insert(name).second) {
      problems.Add(place, fmt::format("another sink is named {} already", place.Quoted()));
    }
  }
  for (SinkNode& sink : sinks) {
    if (!sink.name.empty()) continue;
    sink.name = sink.type;
    for (int number = 2; !taken.insert(sink.name).second; ++number) {
      sink.name = fmt::format("{}_{}", sink.type, number);
    }
  }
}

SinkNode BuildSink(const config::Node& item, const config::ConfigSpec<SinkEntry>& spec,
                   const Registry& registry, config::Problems& problems) {
  SinkEntry entry;
  const bool good = spec.Parse(item, entry, problems);
  SinkNode parts;
  if (entry.name.has_value()) parts.name = *entry.name;
  if (entry.dead_letter.has_value()) parts.dead_letter_path = entry.dead_letter->file;
  parts.retry = entry.retry;
  if (entry.retry.max < entry.retry.initial) {
    problems.Add(item.Find("retry"), "retry.max must not be less than retry.initial");
  }
  const auto* type = TypeOf(item, "sink", registry.sinks, !good, problems);
  if (type == nullptr) return parts;
  parts.type = type->name;
  parts.sink = type->make(entry.component, problems);
  parts.make = [make = type->make, component = entry.component] {
    config::Problems none;  // It was made once already.
    return make(component, none);
  };
  return parts;
}

std::vector<SinkNode> BuildSinks(const config::Node& node, const Registry& registry,
                                 config::Problems& problems) {
  std::vector<SinkNode> sinks;
  if (node.is_absent()) return sinks;
  if (!node.is_list() || node.items().empty()) {
    problems.Add(node, "'sinks' must be a list with at least one sink: begin each entry with '- '");
    return sinks;
  }
  const auto spec = SinkEntrySpec(&registry);
  for (const config::Node& item : node.items()) {
    sinks.push_back(BuildSink(item, spec, registry, problems));
  }
  NameSinks(node, sinks, problems);
  return sinks;
}

}  // namespace

std::optional<PipelineParts> BuildPipeline(const config::Node& root, const Registry& registry,
                                           config::Problems& problems) {
  const size_t before = problems.size();
  PipelineFile file;
  PipelineFileSpec().Parse(root, file, problems);
  PipelineParts parts;
  parts.options.name = file.name;
  if (!IsName(file.name)) {
    const config::Node place = root.Find("name");
    problems.Add(place, fmt::format("'name' must be 1 to {} of a-z, 0-9 and _, not {}", kNameMax,
                                    place.Quoted()));
  }
  if (!file.source.is_absent()) {
    parts.source = BuildSource(file.source, registry, parts.source_type, problems);
  }
  BuildTransformers(file.transformers, registry, parts, problems);
  parts.sinks = BuildSinks(file.sinks, registry, problems);
  parts.options.state_directory = file.state.directory;
  for (SinkNode& sink : parts.sinks) sink.letters_directory = file.state.directory;
  parts.options.startup_timeout = file.startup_timeout;
  StreamLogOptions& log = parts.options.log;
  log.spool_directory = file.spool.directory.value_or(file.state.directory + "/spool");
  log.memory_bytes_max = file.spool.memory.bytes;
  log.spool_bytes_max = file.spool.size_max.bytes;
  if (file.admin.has_value()) {
    parts.admin_listen = file.admin->listen;
    parts.admin_tap = file.admin->tap;
    if (!IsListenAddress(file.admin->listen)) {
      const config::Node place = root.Find("admin").Find("listen");
      problems.Add(place, fmt::format("'admin.listen' must be host:port, such as 127.0.0.1:9187, "
                                      "not {}",
                                      place.Quoted()));
    }
  }
  if (problems.size() != before) return std::nullopt;
  parts.source->set_pipeline(parts.name());
  parts.options.source_name = parts.source_type;
  return parts;
}

}  // namespace pgflow::engine
