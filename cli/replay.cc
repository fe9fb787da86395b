// pgflow replay: puts the rows of a dead letter file into their sink again.
#include <fmt/format.h>

#include "base/status.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "engine/runtime/dead_letter.h"

namespace pgflow::cli {
namespace {

ExitCode ReplaySink(const Invocation& invocation, const engine::PipelineParts& parts,
                    const engine::SinkNode& sink, std::stop_token stop) {
  const auto result = engine::ReplayDeadLetters(sink.dead_letter_path,
                                                {parts.name(), sink.name, ""}, *sink.sink, stop);
  if (!result.ok()) {
    return Fail(invocation.console,
                base::Annotate(result.status(), fmt::format("replay into sink {}", sink.name)));
  }
  invocation.console.out << fmt::format("sink {}: {} replayed, {} refused again\n", sink.name,
                                        result->replayed, result->refused.size());
  for (const std::string& refused : result->refused) {
    invocation.console.out << "  " << refused << "\n";
  }
  return result->refused.empty() ? ExitCode::kDone : ExitCode::kFailed;
}

ExitCode Replay(const Invocation& invocation, const PipelineInput& input, const std::string& only) {
  const auto parts = LoadPipeline(invocation, input);
  if (!parts.has_value()) return ExitCode::kUsage;
  const Interrupt interrupt;
  ExitCode code = ExitCode::kDone;
  bool found = false;
  for (const engine::SinkNode& sink : parts->sinks) {
    if (sink.dead_letter_path.empty() || (!only.empty() && sink.name != only)) continue;
    found = true;
    const ExitCode one = ReplaySink(invocation, *parts, sink, interrupt.drain());
    if (one != ExitCode::kDone) code = one;
  }
  if (found) return code;
  const std::string which = only.empty() ? "no sink" : "no sink named " + only;
  return Fail(invocation.console, fmt::format("{} in {} has a dead_letter", which, input.name()),
              ExitCode::kUsage);
}

}  // namespace

void AddReplay(CommandLine& line, const Invocation& invocation) {
  auto input = std::make_shared<PipelineInput>(invocation.registry);
  auto sink = std::make_shared<std::string>();
  input->AddTo(line.Add("replay", "Write the rows of a dead letter file to its sink again",
                        [&invocation, input, sink] { return Replay(invocation, *input, *sink); })
                   .Option("--sink", *sink, "Only this sink's"));
}

}  // namespace pgflow::cli
