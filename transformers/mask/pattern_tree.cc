#include "transformers/mask/pattern_tree.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "base/status.h"

namespace pgflow::transformers {
namespace {

using Kind = PatternNode::Kind;

constexpr char32_t kLastPoint = 0x10FFFF;
constexpr uint32_t kTimesMax = 1000;
constexpr int kDepthMax = 50;

CodePoints Sorted(CodePoints points) {
  std::ranges::sort(points);
  CodePoints merged;
  for (const auto& range : points) {
    if (!merged.empty() && range.first <= merged.back().second + 1) {
      merged.back().second = std::max(merged.back().second, range.second);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

CodePoints Inverse(const CodePoints& points) {
  CodePoints inverse;
  char32_t begin = 0;
  for (const auto& [first, last] : points) {
    if (first > begin) inverse.emplace_back(begin, first - 1);
    begin = last + 1;
  }
  if (begin <= kLastPoint) inverse.emplace_back(begin, kLastPoint);
  return inverse;
}

// What \d, \w, \s and their opposites are.
std::optional<CodePoints> NamedClass(char32_t letter) {
  const char32_t lower = letter | 0x20U;
  CodePoints points;
  if (lower == 'd') {
    points = {{'0', '9'}};
  } else if (lower == 'w') {
    points = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  } else if (lower == 's') {
    points = {{'\t', '\r'}, {' ', ' '}};
  } else {
    return std::nullopt;
  }
  return lower == letter ? points : Inverse(points);
}

struct PosixClass {
  std::string_view name;
  std::array<std::pair<char32_t, char32_t>, 4> points;
  size_t count;
};

constexpr std::array kPosixClasses = {
    PosixClass{"[:alpha:]", {{{'A', 'Z'}, {'a', 'z'}}}, 2},
    PosixClass{"[:digit:]", {{{'0', '9'}}}, 1},
    PosixClass{"[:alnum:]", {{{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}}, 3},
    PosixClass{"[:upper:]", {{{'A', 'Z'}}}, 1},
    PosixClass{"[:lower:]", {{{'a', 'z'}}}, 1},
    PosixClass{"[:space:]", {{{'\t', '\r'}, {' ', ' '}}}, 2},
    PosixClass{"[:punct:]", {{{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}}, 4},
};

class Parser {
 public:
  explicit Parser(std::string_view pattern) : pattern_(pattern) {}

  absl::StatusOr<PatternTree> Parse() {
    PatternTree tree;
    PGFLOW_ASSIGN_OR_RETURN(tree.root, Alternatives(0));
    if (!AtEnd()) return Wrong("a ) without (; write \\) for a parenthesis");
    tree.group_count = group_count_;
    return tree;
  }

 private:
  bool AtEnd() const { return at_ == pattern_.size(); }
  bool Sees(char c) const { return !AtEnd() && pattern_[at_] == c; }
  bool Take(std::string_view wanted) {
    if (!pattern_.substr(at_).starts_with(wanted)) return false;
    at_ += wanted.size();
    return true;
  }
  char32_t TakeCharacter() {
    size_t size = 0;
    const char32_t character = CharacterAt(pattern_, at_, size);
    at_ += size;
    return character;
  }
  absl::Status Wrong(std::string_view why) const {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "`pattern` '{}', at character {}: {}", pattern_, at_ + 1, why);
  }

  absl::StatusOr<PatternNode> Alternatives(int depth) {
    PatternNode node{.kind = Kind::kAlternatives};
    do {
      PGFLOW_ASSIGN_OR_RETURN(PatternNode sequence, Sequence(depth));
      node.children.push_back(std::move(sequence));
    } while (Take("|"));
    if (node.children.size() > 1) return node;
    PatternNode only = std::move(node.children.front());
    return only;
  }

  absl::StatusOr<PatternNode> Sequence(int depth) {
    PatternNode node{.kind = Kind::kSequence};
    while (!AtEnd() && !Sees('|') && !Sees(')')) {
      PGFLOW_ASSIGN_OR_RETURN(PatternNode atom, Atom(depth));
      PGFLOW_RETURN_IF_ERROR(TakeRepeats(atom));
      node.children.push_back(std::move(atom));
    }
    return node;
  }

  absl::Status TakeRepeats(PatternNode& atom) {
    uint32_t least = 0;
    uint32_t most = PatternNode::kNoEnd;
    if (Take("*")) {
    } else if (Take("+")) {
      least = 1;
    } else if (Take("?")) {
      most = 1;
    } else if (Take("{")) {
      if (!TakeNumber(least))
        return Wrong("a number up to 1000 must follow; write \\{ for a brace");
      if (!Take(",")) {
        most = least;
      } else if (!Sees('}') && !TakeNumber(most)) {
        return Wrong("a number up to 1000 or } must follow");
      }
      if (!Take("}") || most < least) return Wrong("{m,n} must be two numbers in this order");
    } else {
      return absl::OkStatus();
    }
    PatternNode repeat{.kind = Kind::kRepeat, .least = least, .most = most, .greedy = !Take("?")};
    if (Sees('*') || Sees('+') || Sees('?') || Sees('{')) return Wrong("a second repetition");
    repeat.children.push_back(std::move(atom));
    atom = std::move(repeat);
    return absl::OkStatus();
  }

  bool TakeNumber(uint32_t& number) {
    const size_t begin = at_;
    number = 0;
    while (!AtEnd() && pattern_[at_] >= '0' && pattern_[at_] <= '9' && number <= kTimesMax) {
      number = number * 10 + static_cast<uint32_t>(pattern_[at_++] - '0');
    }
    return at_ > begin && number <= kTimesMax;
  }

  absl::StatusOr<PatternNode> Atom(int depth) {
    if (Sees('*') || Sees('+') || Sees('?') || Sees('{')) {
      return Wrong("there is nothing to repeat; write \\ before a character that means itself");
    }
    if (Take("(")) return Group(depth + 1);
    if (Take("[")) return Class();
    if (Take("^")) return PatternNode{.kind = Kind::kBegin};
    if (Take("$")) return PatternNode{.kind = Kind::kEnd};
    if (Take(".")) return PatternNode{.kind = Kind::kClass, .points = {{0, kLastPoint}}};
    if (Take("\\b")) return PatternNode{.kind = Kind::kBoundary};
    PatternNode node{.kind = Kind::kClass};
    if (Sees('\\')) {
      PGFLOW_ASSIGN_OR_RETURN(node.points, Escape());
    } else {
      const char32_t character = TakeCharacter();
      node.points = {{character, character}};
    }
    return node;
  }

  absl::StatusOr<PatternNode> Group(int depth) {
    if (depth > kDepthMax) return Wrong("parentheses are too deep");
    PatternNode node{.kind = Kind::kGroup};
    if (!Take("?:")) {
      if (Sees('?')) return Wrong("of (? only (?: is known");
      node.group = ++group_count_;
    }
    PGFLOW_ASSIGN_OR_RETURN(PatternNode inside, Alternatives(depth));
    if (!Take(")")) return Wrong("a ( without )");
    node.children.push_back(std::move(inside));
    return node;
  }

  // What follows a backslash; it stands at it.
  absl::StatusOr<CodePoints> Escape() {
    ++at_;
    if (AtEnd()) return Wrong("nothing follows the last \\");
    const size_t begin = at_;
    const char32_t letter = TakeCharacter();
    if (std::optional<CodePoints> named = NamedClass(letter)) return *std::move(named);
    static constexpr std::string_view kLetters = "ntrf";
    static constexpr std::string_view kControls = "\n\t\r\f";
    const size_t control = letter < 0x80 ? kLetters.find(static_cast<char>(letter)) : kLetters.npos;
    if (control != kLetters.npos) {
      const auto point = static_cast<char32_t>(kControls[control]);
      return CodePoints{{point, point}};
    }
    if (Contains({{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}, letter)) {
      at_ = begin;
      return Wrong("\\ and this letter or digit mean nothing here");
    }
    return CodePoints{{letter, letter}};
  }

  absl::StatusOr<PatternNode> Class() {
    const bool inverse = Take("^");
    CodePoints points;
    bool first = true;
    while (!Sees(']') || first) {
      first = false;
      if (AtEnd()) return Wrong("a [ without ]");
      const auto posix = std::ranges::find_if(
          kPosixClasses, [this](const PosixClass& each) { return Take(each.name); });
      if (posix != kPosixClasses.end()) {
        points.insert(points.end(), posix->points.begin(), posix->points.begin() + posix->count);
        continue;
      }
      PGFLOW_ASSIGN_OR_RETURN(CodePoints one, ClassCharacter());
      const bool ranges = Sees('-') && at_ + 1 < pattern_.size() && pattern_[at_ + 1] != ']';
      if (ranges) {
        ++at_;
        PGFLOW_ASSIGN_OR_RETURN(const CodePoints end, ClassCharacter());
        if (one.size() != 1 || end.size() != 1 || one[0].first != one[0].second ||
            end[0].first != end[0].second || end[0].first < one[0].first) {
          return Wrong("the range ends before it begins");
        }
        one[0].second = end[0].first;
      }
      points.insert(points.end(), one.begin(), one.end());
    }
    ++at_;
    PatternNode node{.kind = Kind::kClass, .points = Sorted(std::move(points))};
    if (inverse) node.points = Inverse(node.points);
    if (node.points.empty()) return Wrong("no character is in this class");
    return node;
  }

  absl::StatusOr<CodePoints> ClassCharacter() {
    if (AtEnd()) return Wrong("a [ without ]");
    if (Sees('\\')) return Escape();
    const char32_t character = TakeCharacter();
    return CodePoints{{character, character}};
  }

  std::string_view pattern_;
  size_t at_ = 0;
  uint32_t group_count_ = 0;
};

}  // namespace

absl::StatusOr<PatternTree> ParsePattern(std::string_view pattern) {
  return Parser(pattern).Parse();
}

char32_t CharacterAt(std::string_view text, size_t at, size_t& size) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(at);
  size = 1;
  if (lead < 0xC2 || lead > 0xF4) return lead;
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (at + length > text.size()) return lead;
  char32_t character = lead & (0x7FU >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0U) != 0x80U) return lead;
    character = character << 6U | (byte(at + i) & 0x3FU);
  }
  size = length;
  return character;
}

bool Contains(const CodePoints& points, char32_t character) {
  const auto range =
      std::ranges::upper_bound(points, character, {}, [](const auto& each) { return each.first; });
  return range != points.begin() && character <= std::prev(range)->second;
}

}  // namespace pgflow::transformers
