#include "tests/crash/change_file.h"

#include <fstream>
#include <optional>
#include <utility>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "postgres/types/lsn.h"

namespace pgflow::tests {
namespace {

using Place = std::pair<uint64_t, uint64_t>;  // A position: LSN and ordinal.

struct Latest {
  Place place;
  std::optional<int64_t> balance;  // None: the row is gone.
};

void Tell(Latest& latest, Place place, std::optional<int64_t> balance) {
  if (place >= latest.place) latest = {place, balance};
}

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
  std::map<int64_t, Latest> latest;
  std::ifstream file(path);
  for (std::string text; std::getline(file, text);) {
    const nlohmann::json line = nlohmann::json::parse(text, nullptr, false);
    if (line.is_discarded()) {
      ADD_FAILURE() << "not a whole line: " << text;
      continue;
    }
    if (line["table"] != "account") continue;
    const Place place = PlaceOf(line);
    const nlohmann::json& before = line["before"];  // A row that went, or changed its key.
    if (before.is_object()) Tell(latest[before["id"].get<int64_t>()], place, std::nullopt);
    const nlohmann::json after = line.value("after", nlohmann::json());
    if (!after.is_object()) continue;
    Tell(latest[after["id"].get<int64_t>()], place, after["balance"].get<int64_t>());
  }
  std::map<int64_t, int64_t> balances;
  for (const auto& [id, row] : latest) {
    if (row.balance.has_value()) balances[id] = *row.balance;
  }
  return balances;
}

}  // namespace pgflow::tests
