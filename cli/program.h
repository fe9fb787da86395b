// The pgflow program: arguments in, exit code out.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "cli/exit_code.h"
#include "engine/api/registry.h"

namespace pgflow::cli {

// Where results and messages go; the log goes to the process's stderr by itself.
struct Console {
  std::ostream& out;
  std::ostream& error;
};

// `arguments` without the program's name. Everything a command needs is passed in, so that tests
// can run it in-process with components of their own.
ExitCode RunProgram(const std::vector<std::string>& arguments, const engine::Registry& registry,
                    Console console);

}  // namespace pgflow::cli
