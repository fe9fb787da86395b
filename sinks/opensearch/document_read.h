// ReadDocuments: documents by id, as they are at this moment, visible to searches or not.
//
// On the caller's thread and Cluster. Errors: those of Cluster; kUnavailable: some cannot be read.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "sinks/opensearch/cluster.h"

namespace pgflow::sinks {

struct DocumentName {
  std::string index;
  std::string id;
  std::string routing{};  // Empty: the id routes.
};

struct StoredDocument {
  // One that has the id and another routing, and shares the shard, is another one.
  bool found = false;
  uint64_t version = 0;
  std::string source;  // Byte for byte as it was written.
};

// One for each of `names`, in their order.
absl::StatusOr<std::vector<StoredDocument>> ReadDocuments(Cluster& cluster,
                                                          const std::vector<DocumentName>& names,
                                                          std::stop_token stop);

}  // namespace pgflow::sinks
