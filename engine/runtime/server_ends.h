// ServerEnds: where the source's log ended at which time, so that what we have of it has an age,
// whether anything comes or not. Pure: the times are given.
#pragma once

#include <algorithm>
#include <deque>
#include <utility>

#include <absl/time/time.h>

#include "postgres/types/lsn.h"

namespace pgflow::engine {

class ServerEnds {
 public:
  void Note(postgres::Lsn end, absl::Time now) {
    if (!ends_.empty() && end <= ends_.back().first) return;
    ends_.emplace_back(end, now);
    // The oldest ones matter when little of the log is here, and then not to the second.
    if (ends_.size() <= kEndsMax) return;
    for (size_t i = 1; i <= kEndsMax / 2; ++i) ends_.erase(ends_.begin() + static_cast<long>(i));
  }

  // For how long the log has gone on behind `reached`; zero: it has not.
  absl::Duration AgeBehind(postgres::Lsn reached, absl::Time now) const {
    const auto first =
        std::ranges::upper_bound(ends_, reached, {}, [](const auto& end) { return end.first; });
    return first == ends_.end() ? absl::ZeroDuration()
                                : std::max(absl::ZeroDuration(), now - first->second);
  }

 private:
  static constexpr size_t kEndsMax = 600;  // Ten minutes, a look a second.

  std::deque<std::pair<postgres::Lsn, absl::Time>> ends_;
};

}  // namespace pgflow::engine
