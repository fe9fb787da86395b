#include "http/message.h"

#include <strings.h>

#include <algorithm>

namespace pgflow::http {
namespace {

bool IsTokenCharacter(char character) {
  const bool letter = (character >= 'a' && character <= 'z') ||
                      (character >= 'A' && character <= 'Z') ||
                      (character >= '0' && character <= '9');
  return letter || std::string_view("!#$%&'*+-.^_`|~").find(character) != std::string_view::npos;
}

bool IsValueCharacter(char character) {
  const auto byte = static_cast<unsigned char>(character);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7F);
}

}  // namespace

std::string_view FindHeader(const Headers& headers, std::string_view name) {
  for (const auto& [candidate, value] : headers) {
    if (candidate.size() == name.size() &&
        strncasecmp(candidate.data(), name.data(), name.size()) == 0) {
      return value;
    }
  }
  return {};
}

bool IsHeader(std::string_view name, std::string_view value) {
  return !name.empty() && std::ranges::all_of(name, IsTokenCharacter) &&
         std::ranges::all_of(value, IsValueCharacter);
}

}  // namespace pgflow::http
