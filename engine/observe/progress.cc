#include "engine/observe/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string_view>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "base/log.h"
#include "base/pause.h"

namespace pgflow::engine {

WindowSize WindowSizeOf(int descriptor) {
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

bool IsTerminal(int descriptor) {
  const char* kind = std::getenv("TERM");
  return isatty(descriptor) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
}

std::string ClearSequence() { return "\r\x1b[J"; }

std::string DrawSequence(const std::vector<std::string>& lines) {
  std::string sequence = ClearSequence();
  for (const std::string& line : lines) sequence += "\n" + line;
  sequence += "\r";
  // The block may have scrolled the screen: only a relative move finds its beginning again.
  if (!lines.empty()) sequence += fmt::format("\x1b[{}A", lines.size());
  return sequence;
}

void Progress::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void Progress::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  if (options_.terminal) Write(ClearSequence());
}

void Progress::Run(const std::stop_token& stop) {
  ProgressText text;
  while (!stop.stop_requested()) {
    text.Update(status_(), absl::Now());
    if (options_.terminal) {
      Draw(text);
      base::Pause(options_.terminal_interval, stop);
      continue;
    }
    for (const std::string& line : text.PlainLines()) base::LogInfo("{}", line);
    base::Pause(options_.log_interval, stop);
  }
}

void Progress::Draw(const ProgressText& text) {
  const WindowSize size = WindowSizeOf(options_.descriptor);
  if (size.height < 4 || size.width < 8) return;
  // One line for the empty one, one for the prompt of whoever comes after us.
  Write(DrawSequence(text.Lines(size.width - 1, size.height - 2)));
}

void Progress::Write(const std::string& bytes) const {
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const ssize_t written = write(options_.descriptor, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // Nobody looks any more; the pipeline goes on.
    rest.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace pgflow::engine
