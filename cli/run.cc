// pgflow run: snapshot, then stream. pgflow snapshot: the snapshot only.
#include <unistd.h>

#include <fmt/format.h>

#include "base/log.h"
#include "base/mutex.h"
#include "base/pause.h"
#include "base/status.h"
#include "cli/admin_port.h"
#include "cli/command.h"
#include "cli/group.h"
#include "cli/interrupt.h"
#include "cli/tap_format.h"
#include "engine/api/promotion.h"
#include "engine/observe/progress.h"
#include "engine/observe/tap.h"

namespace pgflow::cli {
namespace {

struct Options {
  std::string until_lsn;
  bool until_current = false;
  bool snapshot_only = false;
};

engine::TapOptions TapOptionsOf(const engine::PipelineParts& parts) {
  engine::TapOptions options;
  for (const engine::SinkNode& sink : parts.sinks) options.sinks.push_back(sink.name);
  if (!parts.admin_tap) options.watchers_max = 0;
  return options;
}

// What runs, and how it is.
struct Running {
  std::function<absl::Status(std::stop_token drain, std::stop_token stop)> run;
  engine::StatusFunction status;
  engine::AdminTap tap;  // None where the log of one process is not all of it.
};

ExitCode Watch(const Invocation& invocation, const std::optional<std::string>& listen,
               const Interrupt& interrupt, const Running& running) {
  absl::Status ended;
  {
    std::optional<AdminPort> admin;
    if (listen.has_value()) admin.emplace(*listen, running.status, running.tap);
    engine::Progress progress(running.status, {.terminal = engine::IsTerminal(STDERR_FILENO)});
    progress.Start();
    ended = running.run(interrupt.drain(), interrupt.stop());
  }
  if (!ended.ok()) return Fail(invocation.console, ended);
  return ExitCode::kDone;
}

ExitCode RunGroup(const Invocation& invocation, const PipelineInput& input,
                  const engine::PipelineParts& parts, std::unique_ptr<engine::SourceGroup> group) {
  if (parts.options.snapshot_only || parts.options.until_lsn.has_value()) {
    return RefuseGroup(invocation, parts, "has neither a snapshot nor LSNs of its own");
  }
  const Interrupt interrupt;
  const auto runner = MakeGroupRunner(invocation, input, parts, std::move(group));
  if (!runner.ok()) return Fail(invocation.console, runner.status());
  return Watch(invocation, parts.admin_listen, interrupt,
               {.run = [&](std::stop_token drain,
                           std::stop_token stop) { return (*runner)->Run(drain, stop); },
                .status = [&] { return (*runner)->status(); },
                .tap = {}});
}

// A pipeline that begins anew when its source's server was replaced by another one of the cluster.
class EnduringPipeline {
 public:
  // `make` gives the parts of each pipeline but the first; nothing: they cannot be read any more.
  using Make = std::function<std::optional<engine::PipelineParts>()>;

  EnduringPipeline(engine::PipelineParts first, Make make)
      : make_(std::move(make)), pipeline_(MakePipeline(std::move(first))) {}

  absl::Status Run(const std::stop_token& drain, const std::stop_token& stop) {
    while (true) {
      absl::Status ended = pipeline_->Run(drain, stop);
      if (base::Payload(ended, engine::kPromotedPayload).empty()) return ended;
      base::LogWarning("{}; beginning anew, which goes on if it does not", base::Message(ended));
      // Servers that change places again and again are not to be asked all the time.
      if (!base::Pause(kPromotionPause, drain)) return absl::OkStatus();
      std::optional<engine::PipelineParts> parts = make_();
      if (!parts.has_value()) return ended;
      parts->options.startup_timeout = absl::InfiniteDuration();  // It has worked.
      base::MutexLock lock(&mutex_);
      pipeline_.reset();  // Before the next one takes its files.
      pipeline_ = MakePipeline(*std::move(parts));
    }
  }

  engine::PipelineStatus status() const {
    base::MutexLock lock(&mutex_);
    return pipeline_->status();
  }

 private:
  static constexpr absl::Duration kPromotionPause = absl::Seconds(1);

  const Make make_;
  mutable base::Mutex mutex_;
  std::unique_ptr<engine::Pipeline> pipeline_;  // Changed by Run's thread only, under the lock.
};

std::optional<engine::PipelineParts> LoadToRun(const Invocation& invocation,
                                               const PipelineInput& input, const Options& options) {
  auto parts = LoadPipeline(invocation, input);
  if (!parts.has_value()) return std::nullopt;
  parts->options.snapshot_only = options.snapshot_only;
  parts->options.until_current = options.until_current;
  return parts;
}

ExitCode Run(const Invocation& invocation, const PipelineInput& input, const Options& options) {
  auto parts = LoadToRun(invocation, input, options);
  if (!parts.has_value()) return ExitCode::kUsage;
  if (options.until_current && !options.until_lsn.empty()) {
    return Fail(invocation.console, "--until-lsn and --until-current exclude each other",
                ExitCode::kUsage);
  }
  if (!options.until_lsn.empty()) {
    parts->options.until_lsn = postgres::Lsn::Parse(options.until_lsn);
    if (!parts->options.until_lsn.has_value()) {
      return Fail(
          invocation.console,
          fmt::format("--until-lsn: '{}' is no LSN; write one like 16/B374D848", options.until_lsn),
          ExitCode::kUsage);
    }
  }
  if (auto group = engine::GroupOf(*parts->source); group != nullptr) {
    return RunGroup(invocation, input, *parts, std::move(group));
  }
  const Interrupt interrupt;
  const std::optional<std::string> listen = parts->admin_listen;
  const std::string name = parts->name();
  engine::Tap tap(TapOptionsOf(*parts));
  engine::Tap* const watched = listen.has_value() ? &tap : nullptr;
  parts->options.tap = watched;
  const std::optional<postgres::Lsn> until_lsn = parts->options.until_lsn;
  EnduringPipeline pipeline(*std::move(parts), [&] {
    auto anew = LoadToRun(invocation, input, options);
    if (anew.has_value()) {
      anew->options.tap = watched;
      anew->options.until_lsn = until_lsn;
    }
    return anew;
  });
  return Watch(invocation, listen, interrupt,
               {.run = [&](std::stop_token drain,
                           std::stop_token stop) { return pipeline.Run(drain, stop); },
                .status = [&] { return pipeline.status(); },
                .tap = {&tap, TapFormat(name)}});
}

}  // namespace

void AddRun(CommandLine& line, const Invocation& invocation) {
  auto input = std::make_shared<PipelineInput>(invocation.registry);
  auto options = std::make_shared<Options>();
  input->AddTo(line.Add("run", "Copy the tables, then stream every change, until stopped",
                        [&invocation, input, options] { return Run(invocation, *input, *options); })
                   .Option("--until-lsn", options->until_lsn,
                           "End when everything before this LSN is delivered")
                   .Flag("--until-current", options->until_current,
                         "End when everything that is on the source now is delivered"));
}

void AddSnapshot(CommandLine& line, const Invocation& invocation) {
  auto input = std::make_shared<PipelineInput>(invocation.registry);
  input->AddTo(line.Add("snapshot", "Copy the tables, and end", [&invocation, input] {
    Options options;
    options.snapshot_only = true;
    return Run(invocation, *input, options);
  }));
}

}  // namespace pgflow::cli
