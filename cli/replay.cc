// pgflow replay: brings the changes that a sink refused into it again, through its pipeline: the
// one that runs with this state directory, or, when none does, one that does nothing else.
#include <absl/time/clock.h>
#include <fmt/format.h>

#include "base/pause.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "engine/api/part_name.h"
#include "engine/runtime/dead_letter_queue.h"
#include "engine/runtime/replay_request.h"
#include "engine/topology/group_builder.h"

namespace pgflow::cli {
namespace {

// A lane looks for requests twice a second, and may be at the end of a large window.
constexpr absl::Duration kFirstWait = absl::Seconds(1);
constexpr absl::Duration kAnswerTimeout = absl::Seconds(30);
constexpr absl::Duration kLookInterval = absl::Milliseconds(50);

struct Options {
  std::string sink;
  bool force = false;
  bool drop_changed = false;
  bool list = false;
};

// What was asked of one sink's lane.
struct Asked {
  std::string sink;
  std::shared_ptr<engine::DeadLetterQueue> queue;
  std::unique_ptr<engine::ReplayRequests> requests;
  int64_t id = 0;
  std::optional<engine::ReplayAnswer> answer;
};

absl::StatusOr<Asked> OpenSink(const engine::PipelineParts& parts, const engine::SinkNode& sink,
                               const std::string& pipeline) {
  Asked asked;
  asked.sink = sink.name;
  PGFLOW_ASSIGN_OR_RETURN(asked.queue,
                          engine::DeadLetterQueue::Open({.directory = parts.options.state_directory,
                                                         .pipeline = pipeline,
                                                         .sink = sink.name,
                                                         .file = sink.dead_letter_path}));
  asked.requests =
      std::make_unique<engine::ReplayRequests>(asked.queue->database(), pipeline, sink.name);
  return asked;
}

// One of the pipeline, or of each part that has letters here.
absl::Status OpenSinks(const engine::PipelineParts& parts, const engine::SinkNode& sink,
                       std::vector<Asked>& all) {
  PGFLOW_ASSIGN_OR_RETURN(Asked whole, OpenSink(parts, sink, parts.name()));
  if (engine::GroupOf(*parts.source) == nullptr) {
    all.push_back(std::move(whole));
    return absl::OkStatus();
  }
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<std::string> pipelines, whole.queue->Pipelines());
  for (const std::string& pipeline : pipelines) {
    if (pipeline.rfind(engine::PartName(parts.name(), ""), 0) != 0) continue;
    PGFLOW_ASSIGN_OR_RETURN(Asked asked, OpenSink(parts, sink, pipeline));
    asked.sink = fmt::format("{} of {}", sink.name, pipeline);
    all.push_back(std::move(asked));
  }
  return absl::OkStatus();
}

// False when some have no answer at the deadline (all: none had begun by then either).
absl::StatusOr<bool> AwaitAnswers(std::vector<Asked>& all, absl::Time deadline,
                                  const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    bool done = true;
    bool begun = false;
    for (Asked& asked : all) {
      if (asked.answer.has_value()) continue;
      PGFLOW_ASSIGN_OR_RETURN(asked.answer, asked.requests->TakeAnswer(asked.id));
      if (asked.answer.has_value()) continue;
      done = false;
      PGFLOW_ASSIGN_OR_RETURN(const bool has_begun, asked.requests->HasBegun(asked.id));
      begun = begun || has_begun;
    }
    if (done) return true;
    if (absl::Now() > deadline && !begun) return false;
    if (absl::Now() > deadline + kAnswerTimeout) return false;
    base::Pause(kLookInterval, stop);
  }
  return absl::CancelledError("stopped");
}

absl::Status RunPipeline(const Invocation& invocation, const PipelineInput& input,
                         const Interrupt& interrupt) {
  auto parts = LoadPipeline(invocation, input);
  if (!parts.has_value()) return absl::InvalidArgumentError("the pipeline cannot be read again");
  parts->options.replay_only = true;
  return MakePipeline(*std::move(parts))->Run(interrupt.drain(), interrupt.stop());
}

absl::Status ReplayAll(const Invocation& invocation, const PipelineInput& input,
                       std::vector<Asked>& all, bool shared, const Interrupt& interrupt) {
  const absl::Time deadline = absl::Now() + kAnswerTimeout;
  absl::Time first = absl::Now() + kFirstWait;
  while (true) {
    PGFLOW_ASSIGN_OR_RETURN(const bool answered,
                            AwaitAnswers(all, std::min(first, deadline), interrupt.drain()));
    if (answered) return absl::OkStatus();
    absl::Status ran;
    if (shared) {
      // A part is taken over from the group only: it is its owner here that replays.
      base::SetPayload(ran = absl::UnavailableError("a part"), engine::kSlotInUsePayload, "1");
    } else {
      ran = RunPipeline(invocation, input, interrupt);
    }
    const bool elsewhere = !base::Payload(ran, engine::kSlotInUsePayload).empty();
    if (!ran.ok() && !elsewhere) return ran;
    if (elsewhere && absl::Now() > deadline) {
      return absl::UnavailableError(
          "the pipeline has not answered: it runs on another machine or with another state "
          "directory, is at its first copy, or (where processes share a source) does not run; ask "
          "again where it runs, when its status says 'streaming'");
    }
    if (elsewhere) {
      invocation.console.error << "waiting for the process that runs the pipeline\n";
      invocation.console.error.flush();
    }
    first = absl::Now() + (elsewhere ? kFirstWait : absl::ZeroDuration());
  }
}

ExitCode Show(const Console& console, const Asked& asked) {
  const engine::ReplayAnswer& answer = *asked.answer;
  console.out << fmt::format("sink {}: {} replayed, {} refused again", asked.sink, answer.replayed,
                             answer.refused.size());
  if (!answer.skipped.empty()) console.out << fmt::format(", {} skipped", answer.skipped.size());
  if (answer.dropped > 0) console.out << fmt::format(", {} dropped", answer.dropped);
  if (answer.waiting > 0) console.out << fmt::format(", {} wait", answer.waiting);
  console.out << "\n";
  for (const std::string& refused : answer.refused) console.out << "  " << refused << "\n";
  for (const std::string& skipped : answer.skipped) {
    console.out << "  " << skipped << " (--force writes it all the same)\n";
  }
  if (!answer.error.empty()) return Fail(console, "sink " + asked.sink + ": " + answer.error);
  return answer.refused.empty() ? ExitCode::kDone : ExitCode::kFailed;
}

absl::Status List(const Console& console, const Asked& asked) {
  PGFLOW_ASSIGN_OR_RETURN(const auto entries, asked.queue->Entries());
  for (const engine::DeadLetterQueue::Entry& entry : entries) {
    PGFLOW_ASSIGN_OR_RETURN(const std::string line, asked.queue->Line(entry.id));
    const auto letter = engine::DecodeDeadLetter(line);
    console.out << fmt::format(
        "{} {}{}: {}\n", asked.sink, entry.position.ToString(),
        entry.changed_at.empty() ? "" : fmt::format(" (changed since: {})", entry.changed_at),
        letter.ok() ? letter->error : std::string(base::Message(letter.status())));
  }
  return absl::OkStatus();
}

ExitCode Replay(const Invocation& invocation, const PipelineInput& input, const Options& options) {
  const auto parts = LoadPipeline(invocation, input);
  if (!parts.has_value()) return ExitCode::kUsage;
  const Interrupt interrupt;
  std::vector<Asked> all;
  bool found = false;
  absl::Status status;
  for (const engine::SinkNode& sink : parts->sinks) {
    if (sink.dead_letter_path.empty()) continue;
    if (!options.sink.empty() && sink.name != options.sink) continue;
    found = true;
    status = OpenSinks(*parts, sink, all);
    if (!status.ok()) return Fail(invocation.console, status);
  }
  if (!found) {
    const std::string which = options.sink.empty() ? "no sink" : "no sink named " + options.sink;
    return Fail(invocation.console, fmt::format("{} in {} has a dead_letter", which, input.name()),
                ExitCode::kUsage);
  }
  for (Asked& asked : all) {
    if (options.list) {
      status = List(invocation.console, asked);
    } else {
      const auto id =
          asked.requests->Post({.forced = options.force, .drops = options.drop_changed});
      if (id.ok()) asked.id = *id;
      status = id.status();
    }
    if (!status.ok()) return Fail(invocation.console, status);
  }
  if (options.list) return ExitCode::kDone;
  const bool shared = engine::GroupOf(*parts->source) != nullptr;
  status = ReplayAll(invocation, input, all, shared, interrupt);
  ExitCode code = ExitCode::kDone;
  for (Asked& asked : all) {
    if (asked.answer.has_value()) {
      if (Show(invocation.console, asked) != ExitCode::kDone) code = ExitCode::kFailed;
    } else if (const auto gone = asked.requests->Withdraw(asked.id); !gone.ok() || !*gone) {
      invocation.console.error << fmt::format("sink {}: it has begun, and goes on\n", asked.sink);
    }
  }
  if (!status.ok()) return Fail(invocation.console, base::Annotate(status, "replay"));
  return code;
}

}  // namespace

void AddReplay(CommandLine& line, const Invocation& invocation) {
  auto input = std::make_shared<PipelineInput>(invocation.registry);
  auto options = std::make_shared<Options>();
  input->AddTo(
      line.Add("replay", "Bring the changes that a sink refused into it again",
               [&invocation, input, options] { return Replay(invocation, *input, *options); })
          .Option("--sink", options->sink, "Only this sink's")
          .Flag("--force", options->force,
                "Also those whose row has changed since: old values over newer ones")
          .Flag("--drop-changed", options->drop_changed,
                "Take those whose row has changed since out of the queue, unwritten")
          .Flag("--list", options->list, "Show what is in the queue, and do nothing"));
}

}  // namespace pgflow::cli
