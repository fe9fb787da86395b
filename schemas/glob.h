// Wildcards over names as a user writes them: `*`, `?` and `[a-z]`, as the shell's.
#pragma once

#include <fnmatch.h>

#include <algorithm>
#include <string>
#include <vector>

namespace pgflow::schemas {

// Pure; `name` is "schema.table" or whatever the pattern is about. `*` matches dots, too.
inline bool MatchesGlob(const std::string& pattern, const std::string& name) {
  return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

inline bool MatchesAnyGlob(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&name](const std::string& pattern) { return MatchesGlob(pattern, name); });
}

}  // namespace pgflow::schemas
