// Progress: shows how a pipeline does while it runs. On a terminal a block of lines that is drawn
// over and over; without one, lines of the log every few seconds.
//
// Has a thread of its own between Start and Stop, which only reads the status. The block is drawn
// below the cursor, behind an empty line: a log line that comes in between stands above it and is
// kept.
#pragma once

#include <string>
#include <thread>

#include <absl/time/time.h>

#include "engine/api/pipeline_status.h"
#include "engine/observe/progress_text.h"

namespace pgflow::engine {

struct ProgressOptions {
  bool terminal = false;  // Whether `descriptor` is one that can move its cursor.
  int descriptor = 2;     // Where the block is drawn: standard error, for rows may go to output.
  absl::Duration terminal_interval = absl::Milliseconds(300);
  absl::Duration log_interval = absl::Seconds(5);
};

struct WindowSize {
  size_t width = 80;
  size_t height = 24;
};
// Of the terminal; the defaults when it does not say.
WindowSize WindowSizeOf(int descriptor);

// True when `descriptor` is a terminal that knows escape sequences (TERM is not "dumb").
bool IsTerminal(int descriptor);

class Progress {
 public:
  Progress(StatusFunction status, ProgressOptions options)
      : status_(std::move(status)), options_(options) {}
  ~Progress() { Stop(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Called once.
  void Start();
  // Removes the block from the terminal. May be called again.
  void Stop();

 private:
  void Run(const std::stop_token& stop);
  void Draw(const ProgressText& text);
  void Write(const std::string& bytes) const;

  const StatusFunction status_;
  const ProgressOptions options_;
  std::jthread thread_;
};

// What draws `lines` at the cursor and leaves the cursor where it was; and what removes them.
std::string DrawSequence(const std::vector<std::string>& lines);
std::string ClearSequence();

}  // namespace pgflow::engine
