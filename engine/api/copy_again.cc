#include "engine/api/copy_again.h"

#include <string>

#include "base/status.h"

namespace pgflow::engine {
namespace {

constexpr std::string_view kPayload = "pgflow/copy-again";
// No name of PostgreSQL has it.
constexpr char kEnd = '\0';

}  // namespace

absl::Status CopyAgain(absl::Status error, const std::set<schemas::TableName>& tables) {
  std::string names;
  for (const schemas::TableName& table : tables) {
    names.append(table.schema).push_back(kEnd);
    names.append(table.name).push_back(kEnd);
  }
  base::SetPayload(error, kPayload, names);
  return error;
}

std::set<schemas::TableName> TablesToCopyAgain(const absl::Status& error) {
  std::set<schemas::TableName> tables;
  const std::string names = base::Payload(error, kPayload);
  for (size_t at = 0; at < names.size();) {
    const size_t dot = names.find(kEnd, at);
    const size_t end = names.find(kEnd, dot + 1);
    tables.insert({names.substr(at, dot - at), names.substr(dot + 1, end - dot - 1)});
    at = end + 1;
  }
  return tables;
}

}  // namespace pgflow::engine
