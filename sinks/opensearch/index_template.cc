#include "sinks/opensearch/index_template.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/status.h"
#include "schemas/glob.h"
#include "sinks/opensearch/index_meta.h"

namespace pgflow::sinks {
namespace {

using nlohmann::json;

// Servers without composable templates, and users who may not see them.
bool IsUntold(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsPermissionDenied(status) ||
         absl::IsFailedPrecondition(status);
}

bool Matches(const json& body, const std::string& index) {
  const json& patterns = MemberOf(body, "index_patterns");
  if (!patterns.is_array()) return false;
  return std::ranges::any_of(patterns, [&](const json& pattern) {
    return pattern.is_string() && schemas::MatchesGlob(pattern.get<std::string>(), index);
  });
}

}  // namespace

std::string MisfitOf(const json& mapping) {
  const json& source = MemberOf(mapping, "_source");
  const json& enabled = MemberOf(source, "enabled");
  const bool off = enabled == json(false) || enabled == json("false");
  if (off || !MemberOf(source, "excludes").empty() || !MemberOf(source, "includes").empty()) {
    return "its mapping leaves fields out of _source, from which values are taken that a change "
           "does not bring; take that out of the index or its template";
  }
  const json& required = MemberOf(MemberOf(mapping, "_routing"), "required");
  if (required == json(true) || required == json("true")) {
    return "its mapping wants a _routing with each document; take that out of the index or its "
           "template";
  }
  return {};
}

std::string ObstacleIn(const IndexTemplate& given, std::string_view name) {
  if (!given.misfit.empty()) return given.misfit;
  if (!given.aliases.contains(std::string(name))) return {};
  return fmt::format(
      "the alias {} is pgflow's to move from one index to the next, and an index template gives it "
      "to each; take it out of the template",
      name);
}

const json& TemplateIn(const json& origin) { return MemberOf(origin, "template"); }

absl::StatusOr<IndexTemplate> ReadIndexTemplate(Cluster& cluster, const std::string& index,
                                                std::stop_token stop) {
  const absl::StatusOr<json> answer =
      cluster.Read("POST", "/_index_template/_simulate_index/" + index, nullptr, std::move(stop));
  if (IsUntold(answer.status())) return IndexTemplate();
  PGFLOW_RETURN_IF_ERROR(answer.status());
  IndexTemplate found;
  const json& body = MemberOf(*answer, "template");
  const json& mapping = MemberOf(body, "mappings");
  for (const char* name : {"dynamic", "properties"}) {
    const json& part = MemberOf(mapping, name);
    if (!part.empty()) found.mapping[name] = part;
  }
  found.settings = MemberOf(body, "settings");
  for (const auto& [alias, properties] : MemberOf(body, "aliases").items()) {
    found.aliases.insert(alias);
  }
  found.misfit = MisfitOf(mapping);
  return found;
}

absl::StatusOr<std::string> NameOfTemplate(Cluster& cluster, const std::string& index,
                                           std::stop_token stop) {
  const absl::StatusOr<json> answer =
      cluster.Read("GET", "/_index_template", nullptr, std::move(stop));
  if (IsUntold(answer.status())) return std::string();
  PGFLOW_RETURN_IF_ERROR(answer.status());
  std::string name;
  int64_t priority = -1;
  bool of_streams = false;
  for (const json& entry : MemberOf(*answer, "index_templates")) {
    const json& body = MemberOf(entry, "index_template");
    const json& wanted = MemberOf(body, "priority");
    const int64_t rank = wanted.is_number_integer() ? wanted.get<int64_t>() : 0;
    if (!Matches(body, index) || rank <= priority) continue;
    name = entry.value("name", "");
    priority = rank;
    of_streams = !MemberOf(body, "data_stream").is_null();
  }
  if (!of_streams) return name;
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                          "the index template {} makes data streams of what is named like {}, and "
                          "no index; give index another name, or change its index_patterns",
                          name, index);
}

}  // namespace pgflow::sinks
