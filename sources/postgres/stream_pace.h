// StreamPace: how long to let a busy stream gather before it is read again. Pure: the times are
// given.
#pragma once

#include <cstdint>

#include <absl/time/time.h>

namespace pgflow::sources {

// A walsender sends each change by a system call of its own, and wakes whoever waits in poll() for
// it. A reader that waits for every single one costs the server more than decoding the change does,
// and itself a system call and a wake-up a change. So, as network cards do: while changes come
// thick and fast they are fetched in bunches; a quiet stream is waited for as ever, because there
// each change counts.
class StreamPace {
 public:
  // Faster than one message in 25 us: then a bunch is worth more than its delay.
  static constexpr int kBusyMessagesPerSecond = 40'000;
  static constexpr absl::Duration kGather = absl::Milliseconds(1);

  // The reader found nothing more, `messages` after the last call. Gives how long not to listen;
  // zero: wait for the next message.
  absl::Duration Rest(absl::Time now, int64_t messages) {
    messages_ += messages;
    const absl::Duration window = now - window_start_;
    if (window >= kWindow) {
      const double seconds = absl::ToDoubleSeconds(window);
      busy_ = static_cast<double>(messages_) > seconds * kBusyMessagesPerSecond;
      window_start_ = now;
      messages_ = 0;
    }
    return busy_ ? kGather : absl::ZeroDuration();
  }

 private:
  static constexpr absl::Duration kWindow = absl::Milliseconds(1);

  absl::Time window_start_ = absl::InfinitePast();
  int64_t messages_ = 0;  // Since then.
  bool busy_ = false;
};

}  // namespace pgflow::sources
