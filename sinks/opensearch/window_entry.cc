#include "sinks/opensearch/window_entry.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "sinks/opensearch/index_shape.h"

namespace pgflow::sinks {
namespace {

constexpr size_t kReadDocuments = 500;

}  // namespace

absl::Status WindowEntry::NameBy(std::span<const schemas::Value> row) {
  id.clear();
  routing.clear();
  AppendDocumentId(index->plan.key, row, id);
  if (AppendRouting(index->plan.routing, row, routing)) return absl::OkStatus();
  return UnknownRouting(index->plan, "its change at " + position.ToString());
}

absl::Status DeleteLeft(Cluster& cluster, BulkSender& sender,
                        const std::vector<WindowEntry>& entries, std::span<const uint64_t> stale,
                        BulkSender::Visibility visibility, std::stop_token stop) {
  std::vector<uint64_t> routed;
  for (const uint64_t place : stale) {
    // One without values that a pipeline dropped is at the row's only place.
    if (entries[place].values == nullptr && entries[place].is_routed()) routed.push_back(place);
  }
  std::vector<BulkBody> bodies;
  for (size_t at = 0; at < routed.size(); at += kReadDocuments) {
    const size_t end = std::min(routed.size(), at + kReadDocuments);
    std::vector<DocumentName> names;
    for (size_t i = at; i < end; ++i) names.push_back(entries[routed[i]].name());
    PGFLOW_ASSIGN_OR_RETURN(const std::vector<StoredDocument> found,
                            ReadDocuments(cluster, names, stop));
    BulkBody& body = bodies.emplace_back();
    for (size_t i = at; i < end; ++i) {
      const WindowEntry& entry = entries[routed[i]];
      const uint64_t commit = entry.position.commit_lsn.value();
      if (!found[i - at].found || found[i - at].version > commit) continue;
      body.Delete(entry.index->target, entry.id, commit, routed[i], entry.routing);
    }
  }
  if (bodies.empty()) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<RefusedItem> refused,
                          sender.Send(std::move(bodies), visibility, std::move(stop)));
  if (refused.empty()) return absl::OkStatus();
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition, "index {} refused to delete document {}: {}",
      entries[refused[0].tag].index->name, entries[refused[0].tag].id, refused[0].reason);
}

}  // namespace pgflow::sinks
