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
// window may mean that the server stands still until the next look. So rests come in two lengths in
// turns, one twice the other: as long as the stream is no slower with the long ones, both grow. A
// server that is slower for reasons of its own (others need the processor, too) is so in both.
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
      if (rest_ > absl::ZeroDuration()) pause_start_ = now;
      rest_ = absl::ZeroDuration();
    } else if (rest_ == absl::ZeroDuration()) {
      Forget(now - pause_start_);
      StartTurn(now, /*is_long=*/true);
    } else if (++looks_ == kLooksOfTurn) {
      const double rate = Rate(messages_, now - start_);
      if (is_long_) {
        long_rate_ = rate;
      } else {
        Adjust(long_rate_, rate, Rate(bytes_, now - start_));
      }
      StartTurn(now, !is_long_);
    }
    return rest_;
  }

 private:
  static constexpr absl::Duration kLook = absl::Milliseconds(1);
  static constexpr int kLooksOfTurn = 2;
  static constexpr double kStep = 1.5;
  static constexpr double kNews = 0.1;  // What the last two turns count in the gain.
  // Of the long rests; between the two they stay as they are.
  static constexpr double kGainToGrow = -0.05;
  static constexpr double kGainToShrink = -0.12;
  static constexpr absl::Duration kHalfLife = absl::Milliseconds(30);  // Of long rests, in a pause.

  static double Rate(int64_t count, absl::Duration time) {
    return static_cast<double>(count) / absl::ToDoubleSeconds(time);
  }

  void StartTurn(absl::Time now, bool is_long) {
    is_long_ = is_long;
    rest_ = is_long ? gather_ : std::max(kGatherMin, gather_ / 2);
    start_ = now;
    looks_ = 0;
    messages_ = 0;
    bytes_ = 0;
  }

  // A pause in a flood is soon over; who writes now and then shall not wait for longer.
  void Forget(absl::Duration pause) {
    for (; pause > kHalfLife && gather_ > kGatherMin; pause -= kHalfLife) gather_ /= 2;
    gather_ = std::max(kGatherMin, gather_);
  }

  void Adjust(double long_rate, double short_rate, double byte_rate) {
    gain_ += kNews * ((long_rate - short_rate) / std::max(long_rate, short_rate) - gain_);
    if (gain_ < kGainToShrink || std::max(long_rate, short_rate) < kFloodMessagesPerSecond) {
      gather_ /= kStep;
    } else if (gain_ > kGainToGrow) {
      gather_ *= kStep;
    }
    const absl::Duration full = absl::Seconds(kGatherBytes / byte_rate);
    gather_ = std::clamp(gather_, kGatherMin, std::max(kGatherMin, std::min(full, kGatherMax)));
  }

  absl::Duration rest_;
  absl::Duration gather_ = kGatherMin;  // The long one, while the stream is busy.
  double gain_ = 0;                     // Of long rests over short ones, a part of the rate.
  absl::Time pause_start_ = absl::InfinitePast();
  absl::Time look_start_ = absl::InfinitePast();
  int64_t look_messages_ = 0;  // Since then.
  bool is_long_ = true;        // This turn, as what follows.
  absl::Time start_;
  int looks_ = 0;
  int64_t messages_ = 0;
  int64_t bytes_ = 0;
  double long_rate_ = 0;  // Messages a second, of the long turn before this short one.
};

}  // namespace pgflow::sources
