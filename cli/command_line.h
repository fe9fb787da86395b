// CommandLine: the commands of the program with their options. The only part that knows CLI11.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/exit_code.h"
#include "cli/program.h"

namespace pgflow::cli {

// One parse of a command line. One thread. What options write to must outlive Parse.
class CommandLine {
 public:
  using Action = std::function<ExitCode()>;

  class Command {
   public:
    // A positional argument; Option and Flag take their dashes in the name.
    Command& Argument(const std::string& name, std::string& value, const std::string& doc);
    Command& OptionalArgument(const std::string& name, std::string& value, const std::string& doc);
    Command& Option(const std::string& name, std::string& value, const std::string& doc);
    // May be given several times.
    Command& Options(const std::string& name, std::vector<std::string>& values,
                     const std::string& doc);
    Command& Flag(const std::string& name, bool& value, const std::string& doc);
    // The heading in the help of the options that are added from here on.
    Command& Group(const std::string& heading);

   private:
    friend class CommandLine;
    explicit Command(void* app) : app_(app) {}
    void* app_;  // CLI::App.
    std::string group_ = "Options";
  };

  CommandLine(const std::string& name, const std::string& summary, const std::string& version);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  // `action` runs when this command was chosen.
  Command Add(const std::string& name, const std::string& summary, Action action);
  // An option of the program, allowed behind the command too; only one of `choices`.
  void Choice(const std::string& name, std::string& value, const std::vector<std::string>& choices,
              const std::string& doc);

  // The chosen command's action. Nothing when there is nothing to run: `code` then says whether the
  // arguments were wrong (a message was written) or asked for help.
  Action Parse(const std::vector<std::string>& arguments, const Console& console, ExitCode& code);

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace pgflow::cli
