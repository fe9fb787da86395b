#include "tests/crash/change_file.h"

#include <fstream>
#include <utility>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "postgres/types/lsn.h"

namespace pgflow::tests {
namespace {

using Place = std::pair<uint64_t, uint64_t>;  // A position: LSN and ordinal.

Place PlaceOf(const nlohmann::json& line) {
  const std::string text = line.value("position", "");
  const size_t colon = text.find(':');
  const auto lsn = postgres::Lsn::Parse(text.substr(0, colon));
  if (colon == std::string::npos || !lsn.has_value()) {
    ADD_FAILURE() << "no position in " << line.dump();
    return {};
  }
  return {lsn->value(), std::stoull(text.substr(colon + 1))};
}

}  // namespace

std::map<int64_t, int64_t> BalancesToldBy(const std::string& path) {
  std::map<int64_t, std::pair<Place, int64_t>> latest;
  std::ifstream file(path);
  for (std::string text; std::getline(file, text);) {
    const nlohmann::json line = nlohmann::json::parse(text, nullptr, false);
    if (line.is_discarded()) {
      ADD_FAILURE() << "not a whole line: " << text;
      continue;
    }
    if (line["table"] != "account") continue;
    const Place place = PlaceOf(line);
    const nlohmann::json& row = line["after"];
    auto& [last, balance] = latest[row["id"].get<int64_t>()];
    if (place < last) continue;
    last = place;
    balance = row["balance"].get<int64_t>();
  }
  std::map<int64_t, int64_t> balances;
  for (const auto& [id, row] : latest) balances[id] = row.second;
  return balances;
}

}  // namespace pgflow::tests
