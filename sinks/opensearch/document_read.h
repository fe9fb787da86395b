// ReadDocuments: documents by id, as they are at this moment, visible to searches or not.
//
// On the caller's thread and Cluster. Errors: those of Cluster; kUnavailable: some cannot be read.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <absl/status/statusor.h>

#include "sinks/opensearch/cluster.h"

namespace pgflow::sinks {

struct StoredDocument {
  bool found = false;
  uint64_t version = 0;
  std::string source;  // Byte for byte as it was written.
};

// One for each of `names`, an index and an id in it, in their order.
absl::StatusOr<std::vector<StoredDocument>> ReadDocuments(
    Cluster& cluster, const std::vector<std::pair<std::string, std::string>>& names,
    std::stop_token stop);

}  // namespace pgflow::sinks
