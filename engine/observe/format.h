// Numbers for people. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <absl/time/time.h>

namespace pgflow::engine {

std::string FormatBytes(uint64_t bytes);    // 0 B, 12.3 MiB
std::string FormatCount(uint64_t count);    // 1,234,567
std::string FormatRate(double per_second);  // 0.5, 850, 12.3k, 1.2M
// 0 ms, 3.4 ms, 12.3 s, 4m05s, 2h10m, 3d04h. Negative is 0.
std::string ShortDuration(absl::Duration duration);

// Cut to `width` characters (UTF-8), the last one then an ellipsis; or filled with blanks.
std::string FitWidth(std::string_view text, size_t width);
// At most `width` characters, never filled.
std::string CutWidth(std::string_view text, size_t width);

// Rows of cells as aligned columns, two blanks between; the first row is the heading. A cell of a
// column that `right` names stands at the right.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows,
                        const std::vector<bool>& right);

}  // namespace pgflow::engine
