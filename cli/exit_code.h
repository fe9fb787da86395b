// The exit codes of pgflow, part of its public surface.
#pragma once

namespace pgflow::cli {

enum class ExitCode : int {
  kDone = 0,
  kFailed = 1,      // The pipeline, or what was asked of it, failed.
  kUsage = 2,       // Wrong arguments or configuration.
  kDifference = 3,  // check, verify or validate found something.
};

}  // namespace pgflow::cli
