// Finding: one thing that `pgflow check` looked at on a real server before anything runs.
#pragma once

#include <string>

namespace pgflow::engine {

struct Finding {
  enum class Severity {
    kOk,       // Looked at, and well; `problem` says what was found.
    kWarning,  // It will run; something may surprise.
    kError,    // It will not run, or not for long.
  };

  Severity severity = Severity::kOk;
  std::string subject;  // "wal_level", "table public.orders", ...
  std::string problem;
  std::string remedy;  // What to do, a command where there is one; empty for kOk.
};

}  // namespace pgflow::engine
