#include "postgres/wire/copy_text.h"

namespace pgflow::postgres {
namespace {

constexpr std::string_view kBytes = "\b\f\n\r\t\v\\";
constexpr std::string_view kLetters = "bfnrtv\\";

}  // namespace

void AppendCopyText(std::string& to, std::string_view field) {
  size_t begin = 0;
  for (size_t at = 0; at < field.size(); ++at) {
    // One test for nearly every byte: the escaped ones are 8 to 13 and the backslash.
    const auto byte = static_cast<unsigned char>(field[at]);
    if (byte > 13 && byte != '\\') continue;
    const size_t letter = kBytes.find(field[at]);
    if (letter == std::string_view::npos) continue;
    to.append(field.substr(begin, at - begin));
    to.push_back('\\');
    to.push_back(kLetters[letter]);
    begin = at + 1;
  }
  to.append(field.substr(begin));
}

bool UnescapeCopyText(std::string& to, std::string_view field) {
  while (true) {
    const size_t backslash = field.find('\\');
    if (backslash == std::string_view::npos) break;
    to.append(field.substr(0, backslash));
    if (backslash + 1 == field.size()) return false;
    const size_t letter = kLetters.find(field[backslash + 1]);
    if (letter == std::string_view::npos) return false;
    to.push_back(kBytes[letter]);
    field.remove_prefix(backslash + 2);
  }
  to.append(field);
  return true;
}

std::optional<std::string_view> NextCopyField(std::optional<std::string_view>& line) {
  if (!line.has_value()) return std::nullopt;
  const size_t tab = line->find('\t');
  const std::string_view field = line->substr(0, tab);
  if (tab == std::string_view::npos) {
    line.reset();
  } else {
    line->remove_prefix(tab + 1);
  }
  return field;
}

}  // namespace pgflow::postgres
