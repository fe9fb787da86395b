#include "cli/program.h"

#include "base/log.h"
#include "cli/command.h"
#include "cli/command_line.h"

namespace pgflow::cli {
namespace {

struct Globals {
  std::string log_format = "console";
  std::string log_level = "info";
};

void ConfigureLog(const Globals& globals) {
  const base::LogFormat format =
      globals.log_format == "json" ? base::LogFormat::kJson : base::LogFormat::kConsole;
  base::LogLevel level = base::LogLevel::kInfo;
  if (globals.log_level == "debug") level = base::LogLevel::kDebug;
  if (globals.log_level == "warning") level = base::LogLevel::kWarning;
  if (globals.log_level == "error") level = base::LogLevel::kError;
  base::ConfigureLog(format, level);
}

}  // namespace

ExitCode RunProgram(const std::vector<std::string>& arguments, const engine::Registry& registry,
                    Console console) {
  const Invocation invocation{registry, console};
  Globals globals;
  CommandLine line("pgflow",
                   "Copies a Postgres database and streams every change of it into sinks.",
                   "pgflow " PGFLOW_VERSION);
  line.Choice("--log-format", globals.log_format, {"console", "json"},
              "How log lines look: console or json");
  line.Choice("--log-level", globals.log_level, {"debug", "info", "warning", "error"},
              "The least level that is logged: debug, info, warning or error");
  AddRun(line, invocation);
  AddSnapshot(line, invocation);
  AddInit(line, invocation);
  AddDestroy(line, invocation);
  AddValidate(line, invocation);
  AddTest(line, invocation);
  AddCheck(line, invocation);
  AddStatus(line, invocation);
  AddTap(line, invocation);
  AddTop(line, invocation);
  AddRefresh(line, invocation);
  AddList(line, invocation);
  AddDescribe(line, invocation);
  AddReplay(line, invocation);
  ExitCode code = ExitCode::kDone;
  const CommandLine::Action action = line.Parse(arguments, console, code);
  if (action == nullptr) return code;
  ConfigureLog(globals);
  return action();
}

}  // namespace pgflow::cli
