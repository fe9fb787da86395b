#include <iostream>

#include "cli/components.h"
#include "cli/program.h"

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const pgflow::cli::ExitCode code =
      pgflow::cli::RunProgram(arguments, pgflow::cli::AllComponents(), {std::cout, std::cerr});
  std::cout.flush();
  return static_cast<int>(code);
}
