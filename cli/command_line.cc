#include "cli/command_line.h"

#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/ranges.h>

#include "base/config/node.h"

namespace pgflow::cli {
namespace {

// What nobody asked for, without the value of a misspelt option: it may be a password.
std::string Unexpected(const CLI::App& app) {
  std::string text;
  for (const std::string& extra : app.remaining(/*recurse=*/true)) {
    const std::string shown = extra.starts_with("-") ? extra.substr(0, extra.find('=')) : extra;
    text += text.empty() ? "" : ", ";
    text += config::IsHarmless(shown) ? shown : "one that is not shown";
  }
  return text;
}

}  // namespace

struct CommandLine::Parser {
  Parser(const std::string& name, const std::string& summary) : app(summary, name) {}

  CLI::App app;
  Action chosen;
};

CommandLine::Command& CommandLine::Command::Argument(const std::string& name, std::string& value,
                                                     const std::string& doc) {
  static_cast<CLI::App*>(app_)->add_option(name, value, doc)->required()->type_name("");
  return *this;
}

CommandLine::Command& CommandLine::Command::OptionalArgument(const std::string& name,
                                                             std::string& value,
                                                             const std::string& doc) {
  static_cast<CLI::App*>(app_)->add_option(name, value, doc)->type_name("");
  return *this;
}

CommandLine::Command& CommandLine::Command::Option(const std::string& name, std::string& value,
                                                   const std::string& doc) {
  static_cast<CLI::App*>(app_)->add_option(name, value, doc)->group(group_);
  return *this;
}

CommandLine::Command& CommandLine::Command::Options(const std::string& name,
                                                    std::vector<std::string>& values,
                                                    const std::string& doc) {
  // One value an option: what follows may be the pipeline's file.
  static_cast<CLI::App*>(app_)
      ->add_option(name, values, doc)
      ->group(group_)
      ->allow_extra_args(false)
      ->type_size(1);
  return *this;
}

CommandLine::Command& CommandLine::Command::Flag(const std::string& name, bool& value,
                                                 const std::string& doc) {
  static_cast<CLI::App*>(app_)->add_flag(name, value, doc)->group(group_);
  return *this;
}

CommandLine::Command& CommandLine::Command::Group(const std::string& heading) {
  group_ = heading;
  return *this;
}

CommandLine::CommandLine(const std::string& name, const std::string& summary,
                         const std::string& version)
    : parser_(std::make_unique<Parser>(name, summary)) {
  parser_->app.require_subcommand(1);
  parser_->app.fallthrough();
  parser_->app.set_version_flag("--version", version);
}

CommandLine::~CommandLine() = default;

CommandLine::Command CommandLine::Add(const std::string& name, const std::string& summary,
                                      Action action) {
  CLI::App* command = parser_->app.add_subcommand(name, summary);
  command->callback(
      [parser = parser_.get(), action = std::move(action)] { parser->chosen = action; });
  return Command(command);
}

void CommandLine::Choice(const std::string& name, std::string& value,
                         const std::vector<std::string>& choices, const std::string& doc) {
  // Not IsMember: it repeats the value, which may be a URL that stands in the wrong place.
  const auto is_choice = [choices](const std::string& given) -> std::string {
    if (std::ranges::find(choices, given) != choices.end()) return "";
    return fmt::format("write one of {}", fmt::join(choices, ", "));
  };
  parser_->app.add_option(name, value, doc)->check(is_choice)->type_name("");
}

CommandLine::Action CommandLine::Parse(const std::vector<std::string>& arguments,
                                       const Console& console, ExitCode& code) {
  try {
    // CLI11 takes the arguments from the back.
    parser_->app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    return parser_->chosen;
  } catch (const CLI::ParseError& error) {
    code = error.get_exit_code() == 0 ? ExitCode::kDone : ExitCode::kUsage;
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError)) {
      console.error << "The following arguments were not expected: " << Unexpected(parser_->app)
                    << "\nRun with --help for more information.\n";
      return nullptr;
    }
    parser_->app.exit(error, console.out, console.error);
    return nullptr;
  }
}

}  // namespace pgflow::cli
