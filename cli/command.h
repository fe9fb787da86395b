// What the commands share: how one is added to the command line, and how it reads its pipeline.
#pragma once

#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

#include <absl/status/status.h>

#include "cli/command_line.h"
#include "cli/exit_code.h"
#include "cli/pipeline_input.h"
#include "cli/program.h"
#include "engine/api/registry.h"
#include "engine/runtime/pipeline.h"
#include "engine/topology/pipeline_builder.h"

namespace pgflow::cli {

// What a command works with. Outlives every action.
struct Invocation {
  const engine::Registry& registry;
  Console console;
};

// Each adds one command.
void AddRun(CommandLine& line, const Invocation& invocation);
void AddSnapshot(CommandLine& line, const Invocation& invocation);
void AddInit(CommandLine& line, const Invocation& invocation);
void AddDestroy(CommandLine& line, const Invocation& invocation);
void AddValidate(CommandLine& line, const Invocation& invocation);
void AddCheck(CommandLine& line, const Invocation& invocation);
void AddStatus(CommandLine& line, const Invocation& invocation);
void AddTap(CommandLine& line, const Invocation& invocation);
void AddTop(CommandLine& line, const Invocation& invocation);
void AddRefresh(CommandLine& line, const Invocation& invocation);
void AddList(CommandLine& line, const Invocation& invocation);
void AddDescribe(CommandLine& line, const Invocation& invocation);
void AddTest(CommandLine& line, const Invocation& invocation);
void AddReplay(CommandLine& line, const Invocation& invocation);

// Nothing when the pipeline cannot be read or has problems; they are written to the console's error
// stream.
std::optional<engine::PipelineParts> LoadPipeline(const Invocation& invocation,
                                                  const PipelineInput& input);

std::unique_ptr<engine::Pipeline> MakePipeline(engine::PipelineParts parts);

// Writes "pgflow: message" and gives `code` back.
ExitCode Fail(const Console& console, std::string_view message, ExitCode code = ExitCode::kFailed);
ExitCode Fail(const Console& console, const absl::Status& status,
              ExitCode code = ExitCode::kFailed);

}  // namespace pgflow::cli
