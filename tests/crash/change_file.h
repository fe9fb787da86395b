// ChangeFile: what a reader of the JSON lines of a `stdout` sink makes of them. Lines come at least
// once, so the reader goes by their positions.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace pgflow::tests {

// The accounts as the lines of `path` tell: of each account, the row with the highest position.
// A line that is not whole, or has no position, fails the running test.
std::map<int64_t, int64_t> BalancesToldBy(const std::string& path);

}  // namespace pgflow::tests
