#include "cli/pipeline_input.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <absl/strings/str_split.h>

#include "base/config/yaml_reader.h"
#include "base/status.h"

namespace pgflow::cli {
namespace {

using config::FieldDescription;
using config::Node;
using config::SpecDescription;
using config::ValueType;

constexpr char kCommandLine[] = "the command line";
constexpr char kSinkType[] = "--sink-type";
constexpr char kReplicateDdl[] = "--postgres-replication-ddl";
constexpr char kHandleDdl[] = "--handle-ddl";  // The same, for short.
constexpr char kTransform[] = "--transform";
constexpr char kName[] = "--name";
constexpr char kState[] = "--state";

Node MakeNode(Node::Body body, const std::string& origin, const std::string& path) {
  body.file = std::make_shared<const std::string>(origin);
  body.path = path;
  return Node(std::make_shared<const Node::Body>(std::move(body)));
}

Node Scalar(const std::string& text, const std::string& origin, const std::string& path) {
  Node::Body body;
  body.kind = Node::Kind::kScalar;
  body.text = text;
  return MakeNode(std::move(body), origin, path);
}

Node List(std::vector<Node> items, const std::string& origin, const std::string& path) {
  Node::Body body;
  body.kind = Node::Kind::kList;
  body.items = std::move(items);
  return MakeNode(std::move(body), origin, path);
}

Node Map(const std::vector<std::pair<std::string, Node>>& entries, const std::string& path) {
  Node::Body body;
  body.kind = Node::Kind::kMap;
  for (const auto& [key, value] : entries) {
    body.entries.emplace_back(Scalar(key, kCommandLine, path), value);
  }
  return MakeNode(std::move(body), kCommandLine, path);
}

std::string Flag(const std::string& prefix, const std::string& key) {
  std::string flag = "--" + prefix + "-" + key;
  std::ranges::replace(flag, '_', '-');
  return flag;
}

bool IsSection(const FieldDescription& field) { return field.type == ValueType::kSection; }

bool HasFlag(const FieldDescription& field) {
  return field.type != ValueType::kSectionList && field.type != ValueType::kStringMap &&
         field.type != ValueType::kAny && !IsSection(field);
}

std::string FlagDoc(const FieldDescription& field) {
  return field.type == ValueType::kStringList ? field.doc + " Several: separated by commas."
                                              : field.doc;
}

bool IsFileName(const std::string& text) { return config::IsHarmless(text, "/~, "); }

std::string CannotRead(const std::string& file, const absl::Status& status) {
  if (IsFileName(file)) return std::string(base::Message(status));
  return "cannot be read; it is not shown, because it may be a URL with a password";
}

std::string SinkPrefix(const engine::Registry& registry, const std::string& type) {
  const bool shared =
      std::ranges::find(registry.sources, type, &engine::ComponentType<engine::Source>::name) !=
      registry.sources.end();
  return shared ? "sink-" + type : type;
}

}  // namespace

void PipelineInput::AddTo(CommandLine::Command command) {
  std::string sinks;
  for (const auto& sink : registry_.sinks) sinks += (sinks.empty() ? "" : ", ") + sink.name;
  command
      .OptionalArgument("pipeline", file_,
                        "The pipeline's YAML file; or the flags below in its place")
      .Group("Without a file")
      .Option(kSinkType, values_[kSinkType], "The sink: one of " + sinks)
      .Options(
          kTransform, transforms_,
          "A YAML file with a list of transformers, or with one under `transformers`. Several: "
          "given again, or separated by commas; they follow each other in that order")
      .Option(kName, values_[kName], "Names the slot, the checkpoints and the metrics")
      .Option(kState, values_[kState], "The directory for state and spool");
  for (const auto& source : registry_.sources) AddFlags(command, source.name, source.describe());
  for (const auto& sink : registry_.sinks) {
    AddFlags(command, SinkPrefix(registry_, sink.name), sink.describe());
  }
}

void PipelineInput::AddFlags(CommandLine::Command& command, const std::string& prefix,
                             const SpecDescription& spec) {
  for (const FieldDescription& field : spec.fields) {
    if (IsSection(field)) AddFlags(command, prefix + "-" + field.name, *field.nested);
    if (!HasFlag(field)) continue;
    const std::string flag = Flag(prefix, field.name);
    const std::string names = flag == kReplicateDdl ? flag + "," + kHandleDdl : flag;
    command.Option(names, values_[flag], FlagDoc(field));
  }
}

// A URL in the place of the file may have a password in it.
std::string PipelineInput::name() const {
  if (file_.empty()) return kCommandLine;
  return IsFileName(file_) ? file_ : "the pipeline file";
}

std::optional<Node> PipelineInput::Read(config::Problems& problems) const {
  if (file_.empty()) return ReadFlags(problems);
  if (!transforms_.empty()) {
    problems.Add(0, 0, std::string(kTransform) + " is for runs without a file; write it there");
  }
  for (const auto& [flag, value] : values_) {
    if (!value.empty()) problems.Add(0, 0, flag + " is for runs without a file; write it there");
  }
  const absl::StatusOr<std::string> text = config::ReadTextFile(file_);
  if (!text.ok()) {
    problems.Add(0, 0, CannotRead(file_, text.status()));
    return std::nullopt;
  }
  return config::ParseYaml(*text, name(), problems);
}

// The section of the flags that were given; without entries when there are none.
Node PipelineInput::Component(const std::string& path, const std::string& prefix,
                              const SpecDescription& spec) const {
  std::vector<std::pair<std::string, Node>> entries;
  for (const FieldDescription& field : spec.fields) {
    const std::string field_path = path + "." + field.name;
    if (IsSection(field)) {
      Node section = Component(field_path, prefix + "-" + field.name, *field.nested);
      if (!section.entries().empty()) entries.emplace_back(field.name, std::move(section));
      continue;
    }
    if (!HasFlag(field)) continue;
    const std::string flag = Flag(prefix, field.name);
    const std::string& value = values_.at(flag);
    if (value.empty()) continue;
    if (field.type != ValueType::kStringList) {
      entries.emplace_back(field.name, Scalar(value, flag, field_path));
      continue;
    }
    std::vector<Node> items;
    for (const absl::string_view part : absl::StrSplit(value, ',')) {
      items.push_back(Scalar(std::string(part), flag, field_path));
    }
    entries.emplace_back(field.name, List(std::move(items), flag, field_path));
  }
  return Map(entries, path);
}

Node PipelineInput::Transformers(config::Problems& problems) const {
  std::vector<Node> items;
  for (const std::string& files : transforms_) {
    for (const absl::string_view file : absl::StrSplit(files, ',')) {
      AppendTransformers(std::string(file), items, problems);
    }
  }
  return List(std::move(items), kTransform, "transformers");
}

void PipelineInput::AppendTransformers(const std::string& file, std::vector<Node>& items,
                                       config::Problems& problems) {
  const absl::StatusOr<std::string> text = config::ReadTextFile(file);
  if (!text.ok()) {
    problems.Add(Scalar(file, kTransform, ""), CannotRead(file, text.status()));
    return;
  }
  const Node root = config::ParseYaml(*text, file, problems);
  const Node list = root.is_list() ? root : root.Find("transformers");
  // No list means no transformers, and rows would go out as they are.
  if (!list.is_list()) {
    problems.Add(root, "neither a list of transformers nor `transformers:` with one");
    return;
  }
  items.insert(items.end(), list.items().begin(), list.items().end());
}

std::optional<Node> PipelineInput::ReadFlags(config::Problems& problems) const {
  std::vector<std::pair<std::string, Node>> root;
  if (const std::string& name = values_.at(kName); !name.empty()) {
    root.emplace_back("name", Scalar(name, kName, "name"));
  }
  std::vector<std::pair<std::string, Node>> source;
  for (const auto& type : registry_.sources) {
    Node component = Component("source." + type.name, type.name, type.describe());
    if (!component.entries().empty()) source.emplace_back(type.name, std::move(component));
  }
  if (source.empty()) {
    problems.Add(0, 0, "give a pipeline file, or --postgres-url and --sink-type");
    return std::nullopt;
  }
  root.emplace_back("source", Map(source, "source"));

  std::string chosen = values_.at(kSinkType);
  if (chosen.empty() && !sink_needed_) chosen = "blackhole";
  std::vector<std::pair<std::string, Node>> sink;
  for (const auto& type : registry_.sinks) {
    Node component =
        Component("sinks[0]." + type.name, SinkPrefix(registry_, type.name), type.describe());
    if (type.name == chosen || !component.entries().empty()) {
      sink.emplace_back(type.name, std::move(component));
    }
  }
  const bool known =
      std::ranges::any_of(sink, [&](const auto& entry) { return entry.first == chosen; });
  if (!known && chosen.empty()) {
    problems.Add(0, 0, "--sink-type is missing; `pgflow list` shows the sinks");
  } else if (!known) {
    sink.emplace_back(chosen, Scalar("", kSinkType, "sinks[0]." + chosen));
  }
  root.emplace_back("sinks", List({Map(sink, "sinks[0]")}, kCommandLine, "sinks"));
  if (!transforms_.empty()) root.emplace_back("transformers", Transformers(problems));
  if (const std::string& state = values_.at(kState); !state.empty()) {
    root.emplace_back("state",
                      Map({{"directory", Scalar(state, kState, "state.directory")}}, "state"));
  }
  return Map(root, "");
}

}  // namespace pgflow::cli
