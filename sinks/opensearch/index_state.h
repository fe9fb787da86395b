// IndexState: an index as the server has it. A plain value, with what reads and changes it.
#pragma once

#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <nlohmann/json.hpp>

#include "sinks/opensearch/cluster.h"
#include "sinks/opensearch/index_meta.h"

namespace pgflow::sinks {

struct IndexState {
  std::string name;   // What it was asked for by.
  std::string index;  // What it is.
  std::string uuid;   // Another one of the same name has another.
  IndexMeta meta;
  nlohmann::json properties;    // Of its mapping.
  bool confirms_early = false;  // What it confirmed may not be on disk.
  std::string misfit;           // As MisfitOf.

  bool is_alias() const { return name != index; }
};

// Of a request for indices: one of its answers.
absl::StatusOr<IndexState> ToIndexState(const std::string& name, const std::string& index,
                                        const nlohmann::json& body);
// Nothing when there is none. Errors: those of Cluster; kFailedPrecondition: `name` is of several.
absl::StatusOr<std::optional<IndexState>> ReadIndex(Cluster& cluster, const std::string& name,
                                                    std::stop_token stop);

// Actions of an `_aliases` request: the index gets the other names of `state`'s, as they are.
absl::StatusOr<nlohmann::json> TakeOtherNames(Cluster& cluster, const IndexState& state,
                                              const std::string& index, std::stop_token stop);

// kFailedPrecondition: the index must be rebuilt, and cannot, because its name is no alias.
absl::Status NotOurs(const std::string& index, std::string_view why);
// kFailedPrecondition: its documents are not the rows alone, so that they cannot follow the rows'
// columns: an ingest pipeline made them.
absl::Status CheckHoldsRows(const IndexState& state, std::string_view why);
// What is there cannot follow, and is to be copied again: engine::CopyAgain, unless the server is
// only away.
absl::Status AskForCopy(absl::Status error, const std::set<schemas::TableName>& sources);

// Also when there is none any more.
absl::Status DeleteIndex(Cluster& cluster, const std::string& index, std::stop_token stop);

// Adds `properties` to its mapping and replaces the meta.
absl::Status PutMapping(Cluster& cluster, const IndexState& state, const nlohmann::json& properties,
                        const IndexMeta& meta, std::stop_token stop);

}  // namespace pgflow::sinks
