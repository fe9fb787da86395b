#include "sources/kafka/json_members.h"

#include <algorithm>
#include <cstdint>

namespace pgflow::sources {
namespace {

constexpr size_t kBad = std::string_view::npos;

size_t SkipBlanks(std::string_view text, size_t at) {
  while (at < text.size() &&
         (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r')) {
    ++at;
  }
  return at;
}

// Behind the string that starts at `at`.
size_t SkipString(std::string_view text, size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      return at + 1;
    }
  }
  return kBad;
}

size_t SkipNested(std::string_view text, size_t at) {
  size_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = SkipString(text, at);
      if (at == kBad) return kBad;
      continue;
    }
    ++at;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) return at;
  }
  return kBad;
}

bool IsWord(std::string_view word) {
  if (word == "true" || word == "false" || word == "null") return true;
  if (word.empty()) return false;
  const char first = word.front() == '-' && word.size() > 1 ? word[1] : word.front();
  return first >= '0' && first <= '9' &&
         word.find_first_not_of("0123456789.eE+-") == std::string_view::npos;
}

size_t SkipValue(std::string_view text, size_t at) {
  if (at >= text.size()) return kBad;
  if (text[at] == '"') return SkipString(text, at);
  if (text[at] == '{' || text[at] == '[') return SkipNested(text, at);
  const size_t end = std::min(text.find_first_of(",}] \t\r\n", at), text.size());
  return IsWord(text.substr(at, end - at)) ? end : kBad;
}

// At the next member or item, or kBad at the end (`ok` stays) or where there is none (`ok` false).
size_t Advance(std::string_view text, size_t at, char close, bool first, bool& ok) {
  at = SkipBlanks(text, at);
  if (at < text.size() && text[at] == close) {
    ok = SkipBlanks(text, at + 1) == text.size();
    return kBad;
  }
  if (!first) {
    if (at >= text.size() || text[at] != ',') {
      ok = false;
      return kBad;
    }
    at = SkipBlanks(text, at + 1);
  }
  ok = at < text.size();
  return ok ? at : kBad;
}

// Four hex digits; negative: they are none.
int32_t HexDigits(std::string_view text) {
  if (text.size() < 4) return -1;
  int32_t value = 0;
  for (const char c : text.substr(0, 4)) {
    const int32_t digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

void AppendUtf8(uint32_t code, std::string& out) {
  const auto push = [&out](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) return push(code);
  if (code < 0x800) {
    push(0xC0 | (code >> 6));
  } else {
    if (code < 0x10000) {
      push(0xE0 | (code >> 12));
    } else {
      push(0xF0 | (code >> 18));
      push(0x80 | ((code >> 12) & 0x3F));
    }
    push(0x80 | ((code >> 6) & 0x3F));
  }
  push(0x80 | (code & 0x3F));
}

// Behind a \u escape whose digits start at `at`; a pair of surrogates is one letter.
size_t AppendCode(std::string_view text, size_t at, std::string& out) {
  const int32_t first = HexDigits(text.substr(at));
  if (first < 0 || (first >= 0xDC00 && first <= 0xDFFF)) return kBad;
  at += 4;
  auto code = static_cast<uint32_t>(first);
  if (first >= 0xD800 && first <= 0xDBFF) {
    if (text.substr(at, 2) != "\\u") return kBad;
    const int32_t second = HexDigits(text.substr(at + 2));
    if (second < 0xDC00 || second > 0xDFFF) return kBad;
    at += 6;
    code = 0x10000 + ((code - 0xD800) << 10) + (static_cast<uint32_t>(second) - 0xDC00);
  }
  AppendUtf8(code, out);
  return at;
}

char Unescaped(char c) {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case '"':
    case '\\':
    case '/':
      return c;
    default:
      return '\0';
  }
}

}  // namespace

JsonMembers::JsonMembers(std::string_view object) : text_(object), ok_(false) {
  at_ = SkipBlanks(text_, 0);
  ok_ = at_ < text_.size() && text_[at_] == '{';
  ++at_;
}

bool JsonMembers::Next() {
  if (!ok_) return false;
  const size_t name = Advance(text_, at_, '}', first_, ok_);
  first_ = false;
  if (name == kBad) return false;
  ok_ = false;
  const size_t name_end = text_[name] == '"' ? SkipString(text_, name) : kBad;
  if (name_end == kBad) return false;
  name_ = text_.substr(name + 1, name_end - name - 2);
  if (name_.find('\\') != std::string_view::npos) {
    unescaped_.clear();
    if (!AppendUnquoted(text_.substr(name, name_end - name), unescaped_)) return false;
    name_ = unescaped_;
  }
  const size_t colon = SkipBlanks(text_, name_end);
  if (colon >= text_.size() || text_[colon] != ':') return false;
  const size_t value = SkipBlanks(text_, colon + 1);
  at_ = SkipValue(text_, value);
  if (at_ == kBad) return false;
  value_ = text_.substr(value, at_ - value);
  return ok_ = true;
}

JsonItems::JsonItems(std::string_view array) : text_(array), ok_(false) {
  at_ = SkipBlanks(text_, 0);
  ok_ = at_ < text_.size() && text_[at_] == '[';
  ++at_;
}

bool JsonItems::Next() {
  if (!ok_) return false;
  const size_t value = Advance(text_, at_, ']', first_, ok_);
  first_ = false;
  if (value == kBad) return false;
  at_ = SkipValue(text_, value);
  ok_ = at_ != kBad;
  if (ok_) value_ = text_.substr(value, at_ - value);
  return ok_;
}

bool AppendUnquoted(std::string_view value, std::string& out) {
  if (value.size() < 2 || value.front() != '"' || value.back() != '"') return false;
  const std::string_view text = value.substr(1, value.size() - 2);
  for (size_t at = 0; at < text.size();) {
    const size_t escape = std::min(text.find('\\', at), text.size());
    out.append(text, at, escape - at);
    if (escape == text.size()) break;
    if (escape + 1 >= text.size()) return false;
    if (text[escape + 1] == 'u') {
      at = AppendCode(text, escape + 2, out);
      if (at == kBad) return false;
      continue;
    }
    const char c = Unescaped(text[escape + 1]);
    if (c == '\0') return false;
    out.push_back(c);
    at = escape + 2;
  }
  return true;
}

bool AppendFromBase64(std::string_view text, std::string& out) {
  if (text.size() % 4 != 0) return false;
  uint32_t bits = 0;
  size_t count = 0;
  size_t padding = 0;
  for (const char c : text) {
    uint32_t six = 0;
    if (c >= 'A' && c <= 'Z') {
      six = static_cast<uint32_t>(c - 'A');
    } else if (c >= 'a' && c <= 'z') {
      six = static_cast<uint32_t>(c - 'a') + 26;
    } else if (c >= '0' && c <= '9') {
      six = static_cast<uint32_t>(c - '0') + 52;
    } else if (c == '+' || c == '/') {
      six = c == '+' ? 62 : 63;
    } else if (c == '=') {
      ++padding;
    } else {
      return false;
    }
    if (c != '=' && padding > 0) return false;
    bits = (bits << 6) | six;
    if (++count % 4 != 0) continue;
    for (int shift = 16; shift >= 0; shift -= 8) out.push_back(static_cast<char>(bits >> shift));
    bits = 0;
  }
  if (padding > 2) return false;
  out.resize(out.size() - padding);
  return true;
}

}  // namespace pgflow::sources
