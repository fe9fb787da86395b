// pgflow tap: the changes that pass through a running pipeline, a line each.
#include <fmt/format.h>

#include "base/status.h"
#include "cli/admin_client.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/running_pipeline.h"
#include "engine/observe/tap_filter.h"

namespace pgflow::cli {
namespace {

struct Options {
  std::string tables;
  std::string operations;
  std::string sink;
  std::string limit;
};

absl::StatusOr<engine::TapFilter> FilterOf(const Options& options) {
  engine::TapFilter unread;
  unread.sink = options.sink;
  std::string query = unread.ToQuery();
  const auto add = [&query](std::string_view name, const std::string& value) {
    if (!value.empty()) query += fmt::format("&{}={}", name, engine::TapFilter::Escape(value));
  };
  add("tables", options.tables);
  add("operations", options.operations);
  add("limit", options.limit);
  return engine::TapFilter::FromQuery(query);
}

ExitCode Tap(const Invocation& invocation, const PipelineInput& input, const Options& options) {
  const auto filter = FilterOf(options);
  if (!filter.ok()) {
    return Fail(invocation.console, fmt::format("--{}", base::Message(filter.status())),
                ExitCode::kUsage);
  }
  const auto parts = LoadPipeline(invocation, input);
  if (!parts.has_value()) return ExitCode::kUsage;
  const auto running = FindRunning(*parts);
  if (!running.ok()) return Fail(invocation.console, running.status());
  const Interrupt interrupt;
  std::ostream& out = invocation.console.out;
  uint64_t lines = 0;
  const auto print = [&](std::string_view piece) {
    lines += static_cast<uint64_t>(std::count(piece.begin(), piece.end(), '\n'));
    out << piece << std::flush;
    return out.good();
  };
  const absl::Status ended = StreamAdmin(running->listen, "/tap?" + filter->ToQuery(),
                                         kAdminTimeout, print, interrupt.drain());
  if (!ended.ok()) return Fail(invocation.console, ended);
  const bool asked = interrupt.drain().stop_requested() || !out.good();
  const bool reached = filter->limit > 0 && lines >= filter->limit;
  if (asked || reached) return ExitCode::kDone;
  return Fail(invocation.console, fmt::format("the pipeline at {} ended", running->listen));
}

}  // namespace

void AddTap(CommandLine& line, const Invocation& invocation) {
  auto input = std::make_shared<PipelineInput>(invocation.registry);
  auto options = std::make_shared<Options>();
  input->AddTo(
      line.Add("tap", "Print the changes that pass through a running pipeline, as lines of JSON",
               [&invocation, input, options] { return Tap(invocation, *input, *options); })
          .Option("--tables", options->tables,
                  "Only tables whose schema.name matches one of these patterns (* and ?), "
                  "separated by commas")
          .Option("--operations", options->operations,
                  "Only these: read, insert, update, delete, truncate, schema_change, separated by "
                  "commas")
          .Option("--sink", options->sink,
                  "As this sink takes them; default: the first one of the file")
          .Option("--limit", options->limit, "End after so many changes"));
}

}  // namespace pgflow::cli
