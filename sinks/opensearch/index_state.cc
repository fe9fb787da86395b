#include "sinks/opensearch/index_state.h"

#include <utility>

#include <absl/strings/match.h>

#include "base/status.h"
#include "engine/api/copy_again.h"
#include "sinks/opensearch/index_origin.h"
#include "sinks/opensearch/index_template.h"

namespace pgflow::sinks {

using nlohmann::json;

absl::StatusOr<IndexState> ToIndexState(const std::string& name, const std::string& index,
                                        const json& body) {
  IndexState state;
  state.name = name;
  state.index = index;
  const json& settings = MemberOf(MemberOf(body, "settings"), "index");
  const json& durability = MemberOf(MemberOf(settings, "translog"), "durability");
  state.confirms_early = durability.is_string() &&
                         absl::EqualsIgnoreCase(durability.get_ref<const std::string&>(), "async");
  const json& uuid = MemberOf(settings, "uuid");
  if (uuid.is_string()) state.uuid = uuid.get<std::string>();
  const json& mapping = MemberOf(body, "mappings");
  absl::StatusOr<IndexMeta> meta = IndexMeta::FromMapping(mapping);
  if (!meta.ok()) return base::Annotate(meta.status(), "index " + state.index);
  state.meta = *std::move(meta);
  state.misfit = MisfitOf(mapping);
  const json& properties = MemberOf(mapping, "properties");
  state.properties = properties.is_object() ? properties : json::object();
  return state;
}

absl::StatusOr<std::optional<IndexState>> ReadIndex(Cluster& cluster, const std::string& name,
                                                    std::stop_token stop) {
  absl::StatusOr<json> found = cluster.Read("GET", "/" + name, nullptr, std::move(stop));
  if (absl::IsNotFound(found.status())) return std::nullopt;
  PGFLOW_RETURN_IF_ERROR(found.status());
  if (!found->is_object() || found->size() != 1) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "{} is an alias of {} indices; it must be of one, to be written to",
                            name, found->size());
  }
  return ToIndexState(name, found->begin().key(), found->begin().value());
}

absl::StatusOr<json> TakeOtherNames(Cluster& cluster, const IndexState& state,
                                    const std::string& index, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const json answer, cluster.Read("GET", "/" + state.index + "/_alias",
                                                          nullptr, std::move(stop)));
  json actions = json::array();
  for (const auto& [name, properties] :
       MemberOf(MemberOf(answer, state.index), "aliases").items()) {
    if (name == state.name) continue;
    json add = properties;
    add["index"] = index;
    add["alias"] = name;
    actions.push_back({{"add", std::move(add)}});
  }
  return actions;
}

absl::Status NotOurs(const std::string& index, std::string_view why) {
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "index {}: {}, which its mapping cannot follow; because the name is that of an index and no "
      "alias, a rebuilt one cannot take its place: delete it and copy the table again (pgflow "
      "refresh), then it becomes an alias",
      index, why);
}

absl::Status CheckHoldsRows(const IndexState& state, std::string_view why) {
  const std::string pipeline = PipelineOf(state.meta.origin);
  if (pipeline.empty()) return absl::OkStatus();
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "index {}: {}, and its documents are what the ingest pipeline {} made of the rows; copy the "
      "table again (pgflow refresh)",
      state.index, why, pipeline);
}

absl::Status AskForCopy(absl::Status error, const std::set<schemas::TableName>& sources) {
  if (!absl::IsFailedPrecondition(error)) return error;
  return engine::CopyAgain(std::move(error), sources);
}

absl::Status DeleteIndex(Cluster& cluster, const std::string& index, std::stop_token stop) {
  const absl::Status deleted =
      cluster.Call("DELETE", "/" + index, std::string(), std::move(stop)).status();
  return absl::IsNotFound(deleted) ? absl::OkStatus() : deleted;
}

absl::Status PutMapping(Cluster& cluster, const IndexState& state, const json& properties,
                        const IndexMeta& meta, std::stop_token stop) {
  json body = {{"_meta", meta.ToJson()}};
  if (!properties.empty()) body["properties"] = properties;
  return base::Annotate(
      cluster.Call("PUT", "/" + state.index + "/_mapping", body, std::move(stop)).status(),
      fmt::format("index {}: change its mapping", state.index));
}

}  // namespace pgflow::sinks
