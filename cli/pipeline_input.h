// PipelineInput: where a command's pipeline comes from: a YAML file, or flags in its place.
//
//   pgflow run pipeline.yaml
//   pgflow run --postgres-url URL --sink-type stdout --stdout-file changes.jsonl
//
// The flags come from the same declarations as the file's keys: --TYPE-KEY for each key of a source
// or sink (--sink-TYPE-KEY for a sink whose type is a source's too), so a new component has its own
// without a line here. --handle-ddl, --transform FILE, --name and --state say the rest.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/config/node.h"
#include "cli/command_line.h"
#include "engine/api/registry.h"

namespace pgflow::cli {

// Made before the parse, read after it. One thread.
class PipelineInput {
 public:
  // `sink_needed` false: without --sink-type the pipeline has a sink that takes nothing.
  explicit PipelineInput(const engine::Registry& registry, bool sink_needed = true)
      : registry_(registry), sink_needed_(sink_needed) {}

  // Adds the file's argument and the flags; this must outlive the parse.
  void AddTo(CommandLine::Command command);

  // The pipeline's tree; references in a file are resolved. Nothing, with a problem, when neither a
  // file that can be read nor flags were given.
  std::optional<config::Node> Read(config::Problems& problems) const;
  // For messages: the file, or "the command line".
  std::string name() const;

 private:
  void AddFlags(CommandLine::Command& command, const std::string& prefix,
                const config::SpecDescription& spec);
  std::optional<config::Node> ReadFlags(config::Problems& problems) const;
  config::Node Component(const std::string& path, const std::string& prefix,
                         const config::SpecDescription& spec) const;
  config::Node Transformers(config::Problems& problems) const;
  static void AppendTransformers(const std::string& file, std::vector<config::Node>& items,
                                 config::Problems& problems);

  const engine::Registry& registry_;
  const bool sink_needed_;
  std::string file_;
  std::vector<std::string> transforms_;        // Files, in order.
  std::map<std::string, std::string> values_;  // By flag, dashes and all; empty: not given.
};

}  // namespace pgflow::cli
