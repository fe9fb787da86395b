// Programs that tests start: as another user when we are root, and never outliving the test.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

namespace pgflow::engine {

// Who a Postgres server runs as: ourselves, or the user `postgres` when we are root.
struct RunAs {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;
  bool switch_user = false;

  static absl::StatusOr<RunAs> ForPostgres();
};

// One running program. Its standard output and error go to a file. Thread-safe.
//
// A thread of its own starts the program and waits for it: the kernel ties PR_SET_PDEATHSIG to the
// thread that forked, so the program gets `death_signal` when the test dies and not when whichever
// thread of the test called Start ends.
class Subprocess {
 public:
  struct Options {
    std::vector<std::string> command;  // Absolute path first.
    RunAs run_as;
    std::string output_file;  // Appended to.
    int death_signal = 9;
  };

  static absl::StatusOr<std::unique_ptr<Subprocess>> Start(Options options);
  // Kills it when it still runs.
  ~Subprocess();
  Subprocess(const Subprocess&) = delete;
  Subprocess& operator=(const Subprocess&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal);
  bool running();
  // The wait status (see waitpid) once it has ended; nothing after `timeout`.
  std::optional<int> Wait(absl::Duration timeout);

 private:
  explicit Subprocess(Options options) : options_(std::move(options)) {}
  void StartAndWait();

  const Options options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool started_ = false;
  int start_errno_ = 0;
  pid_t pid_ = -1;
  std::optional<int> wait_status_;
  std::thread thread_;
};

// Runs a program to its end; its output. kInternal with the output when it failed.
absl::StatusOr<std::string> RunProgram(std::vector<std::string> command, const RunAs& run_as);

}  // namespace pgflow::engine
