// StreamPace: how long to let a busy stream gather before it is read again. Pure: the times are
// given.
#pragma once

#include <algorithm>
#include <cstdint>

#include <absl/time/time.h>

namespace pgflow::sources {

// A walsender sends each change by a system call of its own, and wakes whoever waits in poll() for
// it. A reader that waits for every single one costs the server more than decoding the change does,
// and itself a system call and a wake-up a change. So, as network cards do: while changes come
// thick and fast they are fetched in bunches; a quiet stream is waited for as ever, because there
// each change counts.
//
// In a flood (a backlog is read) the rests grow: once the socket's window is full, the server's
// kernel gathers what follows into large segments, which costs it half. But between machines a full
// window means that the server stands still until the next look. Then fewer messages come than
// before, and the rests shrink again.
class StreamPace {
 public:
  // Faster than one message in 25 us: then a bunch is worth more than its delay.
  static constexpr double kBusyMessagesPerSecond = 40'000;
  // About what a walsender can do at best: nobody waits for a single change.
  static constexpr double kFloodMessagesPerSecond = 100'000;
  static constexpr absl::Duration kGatherMin = absl::Milliseconds(1);
  static constexpr absl::Duration kGatherMax = absl::Milliseconds(32);
  // More does not fit into the buffers of two sockets.
  static constexpr double kGatherBytes = 512 * 1024;

  // The reader found nothing more: `messages` and `bytes` came since the last call. Gives how long
  // not to listen; zero: wait for the next message.
  absl::Duration Rest(absl::Time now, int64_t messages, int64_t bytes) {
    look_messages_ += messages;
    messages_ += messages;
    bytes_ += bytes;
    if (now - look_start_ < kLook) return rest_;
    const bool busy = Rate(look_messages_, now - look_start_) > kBusyMessagesPerSecond;
    look_start_ = now;
    look_messages_ = 0;
    if (!busy) {
      rest_ = absl::ZeroDuration();
      gather_ = std::max(kGatherMin, gather_ / 2);  // A pause in a flood is soon over.
      Restart(now);
    } else {
      if (rest_ == absl::ZeroDuration()) {
        Restart(now);
      } else if (++looks_ == kLooksOfStep) {
        Adjust(Rate(messages_, now - start_), Rate(bytes_, now - start_));
        Restart(now);
      }
      rest_ = gather_;
    }
    return rest_;
  }

 private:
  static constexpr absl::Duration kLook = absl::Milliseconds(1);
  static constexpr int kLooksOfStep = 8;
  static constexpr double kGrowth = 1.5;
  static constexpr double kFall = 0.7;  // Of the best rate: the rest was too long.
  static constexpr double kMargin = 0.9;
  static constexpr double kForget = 0.98;  // The best rate, a step.
  static constexpr int kHold = 10;         // Steps without growth after a fall.

  static double Rate(int64_t count, absl::Duration time) {
    return static_cast<double>(count) / absl::ToDoubleSeconds(time);
  }

  void Restart(absl::Time now) {
    start_ = now;
    looks_ = 0;
    messages_ = 0;
    bytes_ = 0;
  }

  void Adjust(double rate, double byte_rate) {
    best_rate_ = std::max(rate, best_rate_ * kForget);
    if (rate < best_rate_ * kFall) {
      gather_ *= rate / best_rate_ * kMargin;  // That is when the window was full.
      hold_ = kHold;
    } else if (hold_ > 0) {
      --hold_;
    } else if (rate > kFloodMessagesPerSecond) {
      gather_ *= kGrowth;
    } else {
      gather_ = kGatherMin;
    }
    const absl::Duration full = absl::Seconds(kGatherBytes / byte_rate);
    gather_ = std::clamp(gather_, kGatherMin, std::max(kGatherMin, std::min(full, kGatherMax)));
  }

  absl::Duration rest_;
  absl::Duration gather_ = kGatherMin;  // What it is while the stream is busy.
  absl::Time look_start_ = absl::InfinitePast();
  int64_t look_messages_ = 0;  // Since then.
  absl::Time start_;           // Of this step.
  int looks_ = 0;              // In it, as what follows.
  int64_t messages_ = 0;
  int64_t bytes_ = 0;
  double best_rate_ = 0;  // Messages a second, of a step.
  int hold_ = 0;
};

}  // namespace pgflow::sources
