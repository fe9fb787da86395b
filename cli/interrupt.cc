#include "cli/interrupt.h"

#include <unistd.h>

#include <csignal>
#include <ctime>

#include "base/log.h"
#include "cli/exit_code.h"

namespace pgflow::cli {
namespace {

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

void WaitForSignals(std::stop_token end, std::stop_source drain, std::stop_source stop) {
  const sigset_t signals = StopSignals();
  // sigtimedwait has no other way to notice the end of the program.
  const timespec pause{.tv_sec = 0, .tv_nsec = 100'000'000};
  while (!end.stop_requested()) {
    if (sigtimedwait(&signals, nullptr, &pause) < 0) continue;
    if (drain.request_stop()) {
      base::LogInfo("stopping when what was received is delivered; again to stop at once");
    } else if (stop.request_stop()) {
      base::LogWarning("stopping at once");
    } else {
      _exit(static_cast<int>(ExitCode::kFailed));
    }
  }
}

}  // namespace

Interrupt::Interrupt() {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // A peer that closes its connection is an error status, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  thread_ = std::jthread(
      [drain = drain_, stop = stop_](std::stop_token end) { WaitForSignals(end, drain, stop); });
}

}  // namespace pgflow::cli
