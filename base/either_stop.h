// EitherStop: a stop token for what has to end when either of two stops is requested.
#pragma once

#include <functional>
#include <stop_token>
#include <utility>

namespace pgflow::base {

// Its token is good for as long as anybody holds it; it is stopped only while this lives.
class EitherStop {
 public:
  EitherStop(std::stop_token first, std::stop_token second)
      : first_(std::move(first), [this] { source_.request_stop(); }),
        second_(std::move(second), [this] { source_.request_stop(); }) {}

  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;  // Before the callbacks, which may run at once.
  std::stop_callback<std::function<void()>> first_;
  std::stop_callback<std::function<void()>> second_;
};

}  // namespace pgflow::base
