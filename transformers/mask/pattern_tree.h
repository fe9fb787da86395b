// PatternTree: a regular expression as it was written. Internal to RegularExpression.
//
// Values; thread-safe.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/status/statusor.h>

namespace pgflow::transformers {

// Code points, in order and apart; both ends belong to a range.
using CodePoints = std::vector<std::pair<char32_t, char32_t>>;

struct PatternNode {
  enum class Kind : uint8_t {
    kClass,  // One of `points`.
    kSequence,
    kAlternatives,
    kRepeat,  // The one child, `least` to `most` times.
    kGroup,   // The one child, as group number `group`; 0: it has none.
    kBegin,
    kEnd,
    kBoundary,  // Of a word.
  };

  Kind kind = Kind::kSequence;
  CodePoints points{};
  uint32_t least = 0;
  uint32_t most = 0;  // kNoEnd: any number.
  bool greedy = true;
  uint32_t group = 0;
  std::vector<PatternNode> children{};

  static constexpr uint32_t kNoEnd = UINT32_MAX;
};

struct PatternTree {
  PatternNode root;
  uint32_t group_count = 0;
};

// kInvalidArgument names the place in the text.
absl::StatusOr<PatternTree> ParsePattern(std::string_view pattern);

// The character at `at`, and its bytes; a byte that is no UTF-8 is a character of its own.
char32_t CharacterAt(std::string_view text, size_t at, size_t& size);

bool Contains(const CodePoints& points, char32_t character);

}  // namespace pgflow::transformers
