// PGFLOW_CHECK: programmer errors end the process, in release builds too. Never for input.
#pragma once

#include <string_view>

namespace pgflow::base {

[[noreturn]] void CheckFailed(const char* file, int line, std::string_view condition,
                              std::string_view why);

}  // namespace pgflow::base

// `why` is a string literal that names the broken invariant.
#define PGFLOW_CHECK(condition, why)                                      \
  do {                                                                    \
    if (!(condition)) [[unlikely]] {                                      \
      ::pgflow::base::CheckFailed(__FILE__, __LINE__, #condition, (why)); \
    }                                                                     \
  } while (false)
