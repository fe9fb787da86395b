// What the commands need of a pipeline whose source is shared by several processes.
#pragma once

#include <memory>

#include <absl/status/statusor.h>

#include "cli/command.h"
#include "engine/topology/group_builder.h"

namespace pgflow::cli {

// The input is read once more, here; the runner keeps what it said.
absl::StatusOr<std::unique_ptr<engine::GroupRunner>> MakeGroupRunner(
    const Invocation& invocation, const PipelineInput& input, const engine::PipelineParts& parts,
    std::unique_ptr<engine::SourceGroup> group);

// "the source kafka has no X": for a command that such a source has nothing to do with.
ExitCode RefuseGroup(const Invocation& invocation, const engine::PipelineParts& parts,
                     std::string_view why);

}  // namespace pgflow::cli
