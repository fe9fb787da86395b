// Interrupt: the first SIGINT or SIGTERM asks to drain and stop, the second to stop at once, the
// third ends the process.
#pragma once

#include <stop_token>
#include <thread>

namespace pgflow::cli {

// Made before any other thread starts: signals are blocked in those and taken by one of its own.
class Interrupt {
 public:
  Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  std::stop_token drain() const { return drain_.get_token(); }
  std::stop_token stop() const { return stop_.get_token(); }

 private:
  std::stop_source drain_;
  std::stop_source stop_;
  std::jthread thread_;
};

}  // namespace pgflow::cli
