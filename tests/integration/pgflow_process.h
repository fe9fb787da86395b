// PgflowProcess: the real `pgflow` program, run as a user runs it, and the files around it.
//
// One test owns each object; one thread at a time. A process that still runs when its object goes
// is killed. Errors of the surroundings (no such program) fail the running test.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/time/time.h>

#include "engine/testing/subprocess.h"

namespace pgflow::tests {

// A new directory that is removed with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, std::string_view text);
// How often `part` occurs in `text`.
size_t CountOf(std::string_view text, std::string_view part);

// Far more than anything takes, even with a sanitizer on a machine that is busy.
inline constexpr absl::Duration kPatience = absl::Seconds(60);

// Asks again and again; false when `condition` never became true.
bool Eventually(const std::function<bool()>& condition, absl::Duration timeout = kPatience);

class PgflowProcess {
 public:
  struct Options {
    std::vector<std::string> arguments;  // Behind the program's name.
    std::string output_file;             // Of standard output and error; appended to.
    uint64_t file_bytes_max = 0;         // No file may grow beyond it; 0: no limit.
  };
  static std::unique_ptr<PgflowProcess> Start(Options options);

  // One that asks it to stop is sent when it listens for it: before, it ends a process as any
  // other.
  void Signal(int signal);
  bool running() { return process_->running(); }
  // Returns when it is gone.
  void Kill9();
  // The exit code; 128 + signal when one ended it; -1 when it still runs after `timeout`.
  int WaitForExit(absl::Duration timeout = kPatience);

  // What this process printed.
  std::string Output() const;
  bool Printed(std::string_view text) const;
  bool WaitForOutput(std::string_view text, absl::Duration timeout = kPatience);
  // VmRSS; 0 when it is gone.
  uint64_t ResidentBytes();
  pid_t pid() const { return process_->pid(); }

 private:
  PgflowProcess(std::unique_ptr<engine::Subprocess> process, Options options, size_t output_start)
      : process_(std::move(process)), options_(std::move(options)), output_start_(output_start) {}

  std::unique_ptr<engine::Subprocess> process_;
  const Options options_;
  const size_t output_start_;  // The file may hold what an earlier process printed.
};

}  // namespace pgflow::tests
