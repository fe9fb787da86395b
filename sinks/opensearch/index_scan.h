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

// Copies every document with its version, byte for byte but for the edits: a number keeps its
// digits, which it would not in the server's own _reindex with a script.
absl::Status CopyDocuments(Cluster& cluster, const std::string& from, const std::string& to,
                           const FieldEdits& edits, std::stop_token stop);

// Deletes every document whose version is not above `version`.
absl::Status DeleteDocuments(Cluster& cluster, const std::string& index, const BulkTarget& target,
                             uint64_t version, std::stop_token stop);

}  // namespace pgflow::sinks
