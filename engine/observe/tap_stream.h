// TapStream: prints what a watcher gets to one client of the admin port, a line a change.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string_view>
#include <thread>

#include <absl/status/statusor.h>

#include "engine/observe/tap.h"

namespace pgflow::engine {

// How a change is written. One thread.
class ChangeFormat {
 public:
  virtual ~ChangeFormat() = default;
  // Before the first change of each batch.
  virtual void StartBatch() = 0;
  // Without a newline; valid until the next call.
  virtual absl::StatusOr<std::string_view> Line(const Batch& batch, const ChangeEvent& event) = 0;
};
using ChangeFormatFactory = std::function<std::unique_ptr<ChangeFormat>()>;

// Owns the socket, which it closes, and a thread of its own, so that a slow client delays nobody.
// Beside changes there may be a line {"skipped": N} (changes that were let go because the client
// was too slow) or {"error": "..."} (a change that cannot be written). Ends when the client leaves,
// the limit is reached, or it is destroyed.
class TapStream {
 public:
  TapStream(int socket, std::unique_ptr<TapWatcher> watcher, std::unique_ptr<ChangeFormat> format);
  ~TapStream();
  TapStream(const TapStream&) = delete;
  TapStream& operator=(const TapStream&) = delete;

  bool ended() const { return ended_; }

 private:
  void Run(const std::stop_token& stop);
  // False: the client is gone, or has all it asked for.
  bool Print(const TapItem& item, const std::stop_token& stop);
  bool Send(std::string_view bytes, const std::stop_token& stop);
  bool ClientLeft() const;

  const int socket_;
  const std::unique_ptr<TapWatcher> watcher_;
  const std::unique_ptr<ChangeFormat> format_;
  uint64_t printed_ = 0;
  std::atomic<bool> ended_{false};
  std::jthread thread_;  // Last: it uses the others.
};

}  // namespace pgflow::engine
