// Walks all documents of an index, and what needs that: a copy into another index, and the removal
// of what is older than a version.
//
// On the caller's thread and Cluster. Errors: those of Cluster and BulkSender.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/status/status.h>
#include <nlohmann/json.hpp>

#include "sinks/opensearch/bulk_sender.h"
#include "sinks/opensearch/cluster.h"

namespace pgflow::sinks {

// What becomes of the fields of a copied document; names with their quotes.
struct FieldEdits {
  bool empty() const {
    return renamed.empty() && removed.empty() && added.empty() && texts.empty();
  }

  std::vector<std::pair<std::string, std::string>> renamed;
  std::vector<std::string> removed;
  std::vector<std::pair<std::string, std::string>> added;  // With its value, where it is not there.
  std::vector<std::string> texts;  // Numbers and truth values become strings.
};

struct FoundDocument {
  std::string id;
  std::string routing;  // Empty: the id routes.
  uint64_t version = 0;
  std::string_view source;  // Valid within the call.
};
using TakeDocuments = std::function<absl::Status(const std::vector<FoundDocument>&)>;

// What was written is found by searches from here on. kNotFound: there is no such index.
absl::Status RefreshIndex(Cluster& cluster, const std::string& index, std::stop_token stop);
// Gives all documents that `query` finds, a page at a time, as they were when it began. kNotFound:
// there is no such index.
absl::Status SearchDocuments(Cluster& cluster, const std::string& index,
                             const nlohmann::json& query, bool with_source,
                             const TakeDocuments& take, std::stop_token stop);

// Copies every document with its version, byte for byte but for the edits: a number keeps its
// digits, which it would not in the server's own _reindex with a script.
absl::Status CopyDocuments(Cluster& cluster, const std::string& from, const std::string& to,
                           const FieldEdits& edits, std::stop_token stop);

// Deletes every document whose version is not above `version`.
absl::Status DeleteDocuments(Cluster& cluster, const std::string& index, const BulkTarget& target,
                             uint64_t version, std::stop_token stop);

}  // namespace pgflow::sinks
