// pgflow top: the rates of a running pipeline, refreshed each second.
#include <unistd.h>

#include <charconv>

#include <absl/time/clock.h>

#include "base/pause.h"
#include "base/status.h"
#include "cli/admin_client.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/running_pipeline.h"
#include "engine/observe/progress.h"
#include "engine/observe/table_activity.h"
#include "engine/observe/top_text.h"

namespace pgflow::cli {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(1);

// Draws over what it drew before on a terminal; else appends lines.
class Screen {
 public:
  explicit Screen(std::ostream& out) : out_(out), terminal_(engine::IsTerminal(STDOUT_FILENO)) {}
  ~Screen() {
    if (terminal_) out_ << engine::ClearSequence() << std::flush;
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  void Show(const engine::TopText& text) {
    if (terminal_) {
      const engine::WindowSize size = engine::WindowSizeOf(STDOUT_FILENO);
      if (size.height < 4 || size.width < 8) return;
      out_ << engine::DrawSequence(text.Lines(size.width - 1, size.height - 2));
    } else {
      for (const std::string& line : text.PlainLines()) out_ << line << "\n";
    }
    out_ << std::flush;
  }
  bool good() const { return out_.good(); }

 private:
  std::ostream& out_;
  const bool terminal_;
};

absl::StatusOr<uint64_t> CountOf(const std::string& text) {
  uint64_t count = 0;
  if (text.empty()) return count;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, count);
  if (parsed.ec == std::errc() && parsed.ptr == end && count > 0) return count;
  return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                          "--count: '{}' is no number of refreshes", text);
}

absl::Status Sample(const engine::PipelineParts& parts, engine::TopText& text) {
  PGFLOW_ASSIGN_OR_RETURN(const RunningPipeline running, FindRunning(parts));
  PGFLOW_ASSIGN_OR_RETURN(const std::string answer,
                          FetchAdmin(running.listen, "/activity", kAdminTimeout));
  PGFLOW_ASSIGN_OR_RETURN(const auto activity, engine::ActivityFromJson(answer));
  text.Update(running.status, activity, absl::Now());
  return absl::OkStatus();
}

ExitCode Top(const Invocation& invocation, const PipelineInput& input, const std::string& count) {
  const auto count_max = CountOf(count);
  if (!count_max.ok()) return Fail(invocation.console, count_max.status(), ExitCode::kUsage);
  const auto parts = LoadPipeline(invocation, input);
  if (!parts.has_value()) return ExitCode::kUsage;
  const Interrupt interrupt;
  const std::stop_token stop = interrupt.drain();
  absl::Status status;
  {
    engine::TopText text;
    // A rate needs two samples.
    status = Sample(*parts, text);
    Screen screen(invocation.console.out);
    for (uint64_t shown = 0; status.ok() && base::Pause(kInterval, stop);) {
      status = Sample(*parts, text);
      if (!status.ok()) break;
      screen.Show(text);
      if (!screen.good() || ++shown == *count_max) break;
    }
  }
  return status.ok() ? ExitCode::kDone : Fail(invocation.console, status);
}

}  // namespace

void AddTop(CommandLine& line, const Invocation& invocation) {
  auto input = std::make_shared<PipelineInput>(invocation.registry);
  auto count = std::make_shared<std::string>();
  input->AddTo(line.Add("top", "Rates of a running pipeline by table and by sink, each second",
                        [&invocation, input, count] { return Top(invocation, *input, *count); })
                   .Option("--count", *count, "End after so many refreshes"));
}

}  // namespace pgflow::cli
