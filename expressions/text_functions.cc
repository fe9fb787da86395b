#include "expressions/text_functions.h"

#include <algorithm>

namespace pgflow::expressions {
namespace {

bool Begins(char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }

// Where the character `index` (from 0) begins; the end when there are not so many.
size_t OffsetOf(std::string_view text, int64_t index) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (Begins(text[i]) && index-- == 0) return i;
  }
  return text.size();
}

void RemoveCharacter(std::string_view& text) {
  do {
    text.remove_prefix(1);
  } while (!text.empty() && !Begins(text.front()));
}

}  // namespace

std::string LowerAscii(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

std::string UpperAscii(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return upper;
}

int64_t LengthOf(std::string_view text) { return std::ranges::count_if(text, Begins); }

std::string_view TrimBlanks(std::string_view text) {
  const size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

std::string_view Substring(std::string_view text, int64_t start, int64_t length) {
  const int64_t end = std::max<int64_t>(start + length, 1);
  start = std::max<int64_t>(start, 1);
  if (end <= start) return {};
  const std::string_view rest = text.substr(OffsetOf(text, start - 1));
  return rest.substr(0, OffsetOf(rest, end - start));
}

std::string_view LeftOf(std::string_view text, int64_t count) {
  if (count < 0) count = std::max<int64_t>(0, LengthOf(text) + count);
  return text.substr(0, OffsetOf(text, count));
}

std::string_view RightOf(std::string_view text, int64_t count) {
  const int64_t skipped = count < 0 ? -count : std::max<int64_t>(0, LengthOf(text) - count);
  return text.substr(OffsetOf(text, skipped));
}

std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to) {
  std::string replaced;
  while (!from.empty()) {
    const size_t at = text.find(from);
    if (at == std::string_view::npos) break;
    replaced.append(text.substr(0, at)).append(to);
    text.remove_prefix(at + from.size());
  }
  return replaced.append(text);
}

bool MatchesLike(std::string_view text, std::string_view pattern) {
  // After a mismatch the last % takes one character more.
  std::string_view retry_text;
  std::string_view retry_pattern;
  bool can_retry = false;
  while (true) {
    if (pattern.starts_with('%')) {
      pattern.remove_prefix(1);
      if (pattern.empty()) return true;
      retry_text = text;
      retry_pattern = pattern;
      can_retry = true;
      continue;
    }
    if (pattern.empty() && text.empty()) return true;
    bool matches = !pattern.empty() && !text.empty();
    if (matches && pattern.front() == '_') {
      pattern.remove_prefix(1);
      RemoveCharacter(text);
    } else if (matches) {
      const bool escaped = pattern.front() == '\\' && pattern.size() > 1;
      matches = pattern[escaped ? 1 : 0] == text.front();
      pattern.remove_prefix(escaped ? 2 : 1);
      text.remove_prefix(1);
    }
    if (matches) continue;
    if (!can_retry || retry_text.empty()) return false;
    RemoveCharacter(retry_text);
    text = retry_text;
    pattern = retry_pattern;
  }
}

}  // namespace pgflow::expressions
