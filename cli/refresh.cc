// pgflow refresh: brings the running pipeline to the tables that the file chooses now.
#include <absl/time/clock.h>
#include <fmt/format.h>

#include "base/pause.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/group.h"
#include "cli/interrupt.h"
#include "engine/runtime/refresh_request.h"
#include "schemas/table_filter.h"

namespace pgflow::cli {
namespace {

// A pipeline looks for requests twice a second; its sinks may be at the end of a large window.
constexpr absl::Duration kAnswerTimeout = absl::Seconds(30);
constexpr absl::Duration kLookInterval = absl::Milliseconds(100);

ExitCode Refresh(const Invocation& invocation, const PipelineInput& input,
                 const std::vector<std::string>& again) {
  const auto parts = LoadPipeline(invocation, input);
  if (!parts.has_value()) return ExitCode::kUsage;
  if (engine::GroupOf(*parts->source) != nullptr) {
    return RefuseGroup(invocation, *parts, "has no tables to choose: its topics say what there is");
  }
  const auto patterns = schemas::TableFilter::Make(again, {});
  if (!patterns.ok()) {
    return Fail(invocation.console, base::Annotate(patterns.status(), "--copy"), ExitCode::kUsage);
  }
  const Interrupt interrupt;
  const auto state = engine::SqliteDatabase::Open(parts->options.state_directory);
  if (!state.ok()) return Fail(invocation.console, state.status());
  const auto id = engine::PostRefresh(**state, parts->name(),
                                      {.selection = parts->source->selection(), .again = again});
  if (!id.ok()) return Fail(invocation.console, id.status());
  invocation.console.error << fmt::format("waiting for pipeline {}\n", parts->name());
  invocation.console.error.flush();
  const absl::Time deadline = absl::Now() + kAnswerTimeout;
  while (absl::Now() < deadline && !interrupt.drain().stop_requested()) {
    const auto answer = engine::TakeRefreshAnswer(**state, *id);
    if (!answer.ok()) return Fail(invocation.console, answer.status());
    if (answer->has_value()) {
      if (!(*answer)->done) return Fail(invocation.console, (*answer)->text);
      invocation.console.out << ((*answer)->text.empty() ? "no table is new" : (*answer)->text)
                             << "\n";
      return ExitCode::kDone;
    }
    base::Pause(kLookInterval, interrupt.drain());
  }
  return Fail(invocation.console,
              fmt::format("pipeline {} has not answered; what was asked for is done when it runs, "
                          "with the state directory {}",
                          parts->name(), parts->options.state_directory));
}

}  // namespace

void AddRefresh(CommandLine& line, const Invocation& invocation) {
  auto input = std::make_shared<PipelineInput>(invocation.registry);
  auto again = std::make_shared<std::vector<std::string>>();
  input->AddTo(line.Add("refresh", "Let the running pipeline add and drop tables, as the file says",
                        [&invocation, input, again] { return Refresh(invocation, *input, *again); })
                   .Options("--copy", *again, "Copy these tables again (schema.table; globs)"));
}

}  // namespace pgflow::cli
