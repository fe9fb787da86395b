#include "engine/testing/subprocess.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/status.h"

namespace pgflow::engine {
namespace {

constexpr int kExecFailed = 127;

// Between fork and exec, in a copy of a process that had threads: system calls only.
[[noreturn]] void ExecChild(char* const* arguments, const RunAs& run_as, int output,
                            int death_signal, pid_t parent) {
  const int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  setsid();  // Ctrl-C in a terminal is for the test, which then stops its servers.
  if (run_as.switch_user) {
    if (setgroups(0, nullptr) != 0 || setgid(run_as.gid) != 0 || setuid(run_as.uid) != 0) {
      _exit(kExecFailed);
    }
  }
  // After setuid, which clears it.
  prctl(PR_SET_PDEATHSIG, death_signal);
  if (getppid() != parent) _exit(kExecFailed);
  if (chdir("/") != 0) _exit(kExecFailed);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execv(arguments[0], arguments);
  _exit(kExecFailed);
}

}  // namespace

absl::StatusOr<RunAs> RunAs::ForPostgres() {
  RunAs run_as;
  run_as.uid = getuid();
  run_as.gid = getgid();
  if (run_as.uid != 0) {
    run_as.name = std::to_string(run_as.uid);
    return run_as;
  }
  const passwd* user = getpwnam("postgres");
  if (user == nullptr) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "there is no user `postgres`: a server does not run as root; install "
                            "Debian's postgresql-common or run the tests as another user");
  }
  run_as.uid = user->pw_uid;
  run_as.gid = user->pw_gid;
  run_as.name = "postgres";
  run_as.switch_user = true;
  return run_as;
}

absl::StatusOr<std::unique_ptr<Subprocess>> Subprocess::Start(Options options) {
  std::unique_ptr<Subprocess> process(new Subprocess(std::move(options)));
  process->thread_ = std::thread([raw = process.get()] { raw->StartAndWait(); });
  std::unique_lock lock(process->mutex_);
  process->changed_.wait(lock, [&process] { return process->started_; });
  if (process->start_errno_ == 0) return process;
  return base::MakeStatus(absl::StatusCode::kInternal, "start {}: {}", process->options_.command[0],
                          std::strerror(process->start_errno_));
}

Subprocess::~Subprocess() {
  Signal(SIGKILL);
  if (thread_.joinable()) thread_.join();
}

void Subprocess::StartAndWait() {
  std::vector<char*> arguments;
  for (const std::string& word : options_.command)
    arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const int output =
      open(options_.output_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const pid_t parent = getpid();
  const pid_t pid = output < 0 ? -1 : fork();
  if (pid == 0) {
    ExecChild(arguments.data(), options_.run_as, output, options_.death_signal, parent);
  }
  const int error = pid < 0 ? errno : 0;
  if (output >= 0) close(output);
  {
    std::lock_guard lock(mutex_);
    pid_ = pid;
    start_errno_ = error;
    started_ = true;
    if (error != 0) wait_status_ = kExecFailed;
  }
  changed_.notify_all();
  if (error != 0) return;
  // WNOWAIT keeps the pid ours until wait_status_ is set: Signal never hits a stranger.
  siginfo_t ended{};
  while (waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  std::lock_guard lock(mutex_);
  int status = 0;
  waitpid(pid, &status, 0);
  wait_status_ = status;
  changed_.notify_all();
}

void Subprocess::Signal(int signal) {
  std::lock_guard lock(mutex_);
  if (pid_ > 0 && !wait_status_.has_value()) kill(pid_, signal);
}

bool Subprocess::running() {
  std::lock_guard lock(mutex_);
  return !wait_status_.has_value();
}

std::optional<int> Subprocess::Wait(absl::Duration timeout) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, absl::ToChronoMilliseconds(timeout),
                    [this] { return wait_status_.has_value(); });
  return wait_status_;
}

absl::StatusOr<std::string> RunProgram(std::vector<std::string> command, const RunAs& run_as) {
  char file[] = "/tmp/pgflow-output-XXXXXX";
  const int descriptor = mkstemp(file);
  if (descriptor < 0) {
    return base::MakeStatus(absl::StatusCode::kInternal, "create {}: {}", file,
                            std::strerror(errno));
  }
  close(descriptor);
  const std::string name = command[0];
  absl::StatusOr<std::unique_ptr<Subprocess>> process =
      Subprocess::Start({.command = std::move(command), .run_as = run_as, .output_file = file});
  std::optional<int> status;
  if (process.ok()) status = (*process)->Wait(absl::Minutes(2));
  std::ifstream stream(file);
  std::string output{std::istreambuf_iterator<char>(stream), {}};
  unlink(file);
  PGFLOW_RETURN_IF_ERROR(process.status());
  if (status != 0) {
    return base::MakeStatus(absl::StatusCode::kInternal, "{} failed (wait status {}): {}", name,
                            status.value_or(-1), output);
  }
  return output;
}

}  // namespace pgflow::engine
