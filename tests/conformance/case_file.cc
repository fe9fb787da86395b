#include "tests/conformance/case_file.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <sstream>

#include <absl/strings/match.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>

#include "tests/integration/pgflow_process.h"

namespace pgflow::tests {
namespace {

[[noreturn]] void GiveUp(const std::string& file, int line, const std::string& what) {
  std::cerr << file << ":" << line << ": " << what << "\n";
  std::exit(1);
}

void ReadNeeds(const std::string& needs, CaseFile& result, const std::string& file, int line) {
  for (const std::string& part :
       std::vector<std::string>(absl::StrSplit(needs, absl::ByAnyChar(", "), absl::SkipEmpty()))) {
    if (part == "server" || part == "extension") continue;
    if (part == "text") {
      result.text = true;
    } else if (part == "alone") {
      result.alone = true;
    } else if (part.find_first_not_of("0123456789") == std::string::npos) {
      result.server_min = std::stoi(part);
    } else {
      result.extensions.push_back(part);
    }
  }
  if (result.server_min < 13 || result.server_min > 18) GiveUp(file, line, "no such server");
}

CaseFile ReadCase(const std::filesystem::path& path) {
  CaseFile result;
  result.name = path.stem();
  std::istringstream text(ReadFile(path));
  std::string* section = nullptr;
  int number = 0;
  for (std::string line; std::getline(text, line);) {
    ++number;
    absl::string_view rest = line;
    if (absl::ConsumePrefix(&rest, "--- needs:")) {
      ReadNeeds(std::string(rest), result, path, number);
    } else if (rest == "--- both") {
      section = &result.both;
    } else if (rest == "--- schema") {
      section = &result.schema;
    } else if (rest == "--- rows") {
      section = &result.rows.emplace_back();
    } else if (rest == "--- change") {
      section = &result.changes.emplace_back();
    } else if (absl::StartsWith(rest, "---")) {
      GiveUp(path, number, "no such section: " + line);
    } else if (section != nullptr) {
      *section += line + "\n";
    } else if (absl::ConsumePrefix(&rest, "-- ")) {
      result.about += (result.about.empty() ? "" : " ") + std::string(rest);
    } else if (!line.empty()) {
      GiveUp(path, number, "SQL before the first section");
    }
  }
  if (result.about.empty()) GiveUp(path, 1, "begin with a line that says what the case shows");
  if (result.schema.empty() && result.changes.empty()) {
    GiveUp(path, 1, "there is neither a schema nor a change section");
  }
  return result;
}

}  // namespace

std::vector<CaseFile> ReadCases(const std::string& directory) {
  std::vector<CaseFile> cases;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".sql") cases.push_back(ReadCase(entry.path()));
  }
  std::ranges::sort(cases, {}, &CaseFile::name);
  return cases;
}

}  // namespace pgflow::tests
