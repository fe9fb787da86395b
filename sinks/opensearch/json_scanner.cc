#include "sinks/opensearch/json_scanner.h"

#include <nlohmann/json.hpp>

namespace pgflow::sinks {
namespace {

constexpr size_t kNone = std::string_view::npos;

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// Behind the string whose opening quote is at `at`.
size_t FindStringEnd(std::string_view text, size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '"') return at + 1;
    if (text[at] == '\\') ++at;
  }
  return kNone;
}

}  // namespace

size_t FindJsonEnd(std::string_view text, size_t at) {
  size_t depth = 0;
  const size_t start = at;
  while (at < text.size()) {
    const char c = text[at];
    switch (c) {
      case '"':
        at = FindStringEnd(text, at);
        if (at == kNone || depth == 0) return at;
        continue;
      case '{':
      case '[':
        ++depth;
        break;
      case '}':
      case ']':
        if (depth == 0) return at > start ? at : kNone;
        if (--depth == 0) return at + 1;
        break;
      default:
        if (depth == 0 && (c == ',' || IsSpace(c))) return at > start ? at : kNone;
    }
    ++at;
  }
  return depth == 0 && at > start ? at : kNone;
}

JsonScanner::JsonScanner(std::string_view text) : text_(text) {
  SkipSpace();
  if (at_ >= text_.size() || (text_[at_] != '{' && text_[at_] != '[')) {
    at_ = text_.size();
    return;
  }
  close_ = text_[at_++] == '{' ? '}' : ']';
}

bool JsonScanner::Fail() {
  at_ = text_.size();
  close_ = '\0';
  ok_ = false;
  return false;
}

void JsonScanner::SkipSpace() {
  while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
}

bool JsonScanner::Next() {
  if (close_ == '\0') return false;
  SkipSpace();
  if (at_ >= text_.size()) return Fail();
  if (text_[at_] == close_) {
    close_ = '\0';
    ok_ = true;
    return false;
  }
  if (!first_) {
    if (text_[at_] != ',') return Fail();
    ++at_;
    SkipSpace();
  }
  first_ = false;
  key_ = {};
  if (close_ == '}') {
    if (at_ >= text_.size() || text_[at_] != '"') return Fail();
    const size_t end = FindStringEnd(text_, at_);
    if (end == kNone) return Fail();
    key_ = text_.substr(at_, end - at_);
    at_ = end;
    SkipSpace();
    if (at_ >= text_.size() || text_[at_] != ':') return Fail();
    ++at_;
    SkipSpace();
  }
  const size_t end = FindJsonEnd(text_, at_);
  if (end == kNone) return Fail();
  value_ = text_.substr(at_, end - at_);
  at_ = end;
  return true;
}

std::string_view FindJsonMember(std::string_view object, std::string_view name) {
  JsonScanner members(object);
  while (members.Next()) {
    const std::string_view key = members.key();
    if (key.size() == name.size() + 2 && key.substr(1, name.size()) == name) return members.value();
  }
  return {};
}

std::string JsonText(std::string_view value) {
  const nlohmann::json parsed = nlohmann::json::parse(value, nullptr, false);
  return parsed.is_string() ? parsed.get<std::string>() : std::string(value);
}

}  // namespace pgflow::sinks
