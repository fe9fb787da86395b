#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace pgflow::base {

void CheckFailed(const char* file, int line, std::string_view condition, std::string_view why) {
  std::fprintf(stderr, "pgflow: internal error at %s:%d: %.*s (%.*s)\n", file, line,
               static_cast<int>(why.size()), why.data(), static_cast<int>(condition.size()),
               condition.data());
  std::fflush(stderr);
  std::abort();
}

}  // namespace pgflow::base
