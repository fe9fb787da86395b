// IndexTemplate: what the server's own (composable) templates give an index that is made under a
// name. What they say holds where the file says nothing.
#pragma once

#include <set>
#include <stop_token>
#include <string>
#include <string_view>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <nlohmann/json.hpp>

#include "sinks/opensearch/cluster.h"

namespace pgflow::sinks {

struct IndexTemplate {
  // What an index remembers of it: {"dynamic", "properties"}, each where there is one.
  nlohmann::json mapping = nlohmann::json::object();
  nlohmann::json settings;  // {"index": {...}}
  std::set<std::string> aliases;
  std::string misfit;  // As MisfitOf.
};

// None where no template is for it, or this user or server does not tell.
absl::StatusOr<IndexTemplate> ReadIndexTemplate(Cluster& cluster, const std::string& index,
                                                std::stop_token stop);

// The one that the server takes; empty: none. kFailedPrecondition: no index can be made with it.
absl::StatusOr<std::string> NameOfTemplate(Cluster& cluster, const std::string& index,
                                           std::stop_token stop);

// Why documents cannot be kept in an index of this mapping; empty: they can.
std::string MisfitOf(const nlohmann::json& mapping);

// Why no index that gets the alias `name` of us can be made with it; empty: it can.
std::string ObstacleIn(const IndexTemplate& given, std::string_view name);

// In what an index was made from: the template's part, null when there was none.
const nlohmann::json& TemplateIn(const nlohmann::json& origin);

}  // namespace pgflow::sinks
