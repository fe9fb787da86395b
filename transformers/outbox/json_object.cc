#include "transformers/outbox/json_object.h"

#include <nlohmann/json.hpp>

namespace pgflow::transformers {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

// The end of the value that begins at `at`, in text that is known to be JSON.
size_t EndOfValue(std::string_view text, size_t at) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = at; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
        if (depth == 0) return i + 1;
      }
      continue;
    }
    if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return i;  // Of the object around it.
      if (--depth == 0) return i + 1;
    } else if (depth == 0 && (c == ',' || kSpace.find(c) != std::string_view::npos)) {
      return i;
    }
  }
  return text.size();
}

}  // namespace

std::string JsonMember::Text() const {
  if (!json.starts_with('"')) return std::string(json);
  return nlohmann::json::parse(json).get<std::string>();
}

std::optional<std::vector<JsonMember>> JsonMembersOf(std::string_view text) {
  if (!nlohmann::json::accept(text)) return std::nullopt;
  size_t at = text.find_first_not_of(kSpace);
  if (text[at] != '{') return std::nullopt;
  std::vector<JsonMember> members;
  at = text.find_first_not_of(kSpace, at + 1);
  while (text[at] != '}') {
    const size_t name_end = EndOfValue(text, at);
    JsonMember member;
    member.name = nlohmann::json::parse(text.substr(at, name_end - at)).get<std::string>();
    at = text.find_first_not_of(kSpace, text.find(':', name_end) + 1);
    const size_t end = EndOfValue(text, at);
    member.json = text.substr(at, end - at);
    members.push_back(std::move(member));
    at = text.find_first_not_of(kSpace, end);
    if (text[at] == ',') at = text.find_first_not_of(kSpace, at + 1);
  }
  return members;
}

}  // namespace pgflow::transformers
