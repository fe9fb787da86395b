// WindowEntry: what remains of a window's changes of one row at one place, and the document there.
//
// A row that changes its routing leaves a deletion at the old place and a document at the new one.
// Both may be in one shard, where they are one document; which of them comes first must not matter
// then. So such a deletion has the version before its commit's: it never meets the commit's own
// document, and finds every earlier one. One that the same commit wrote at the old place, in an
// earlier request, it does not delete; that is looked at afterwards (DeleteLeft).
//
// Values of one thread. Errors: those of Cluster and BulkSender.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <string>
#include <tuple>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/position.h"
#include "schemas/value.h"
#include "sinks/opensearch/bulk_sender.h"
#include "sinks/opensearch/document_read.h"
#include "sinks/opensearch/table_index.h"

namespace pgflow::sinks {

struct WindowEntry {
  using Key = std::tuple<const TableIndex*, std::string, std::string>;

  Key key() const { return {index, id, routing}; }
  DocumentName name() const { return {index->name, id, routing}; }
  bool is_at_place_of(const WindowEntry& other) const {
    return index == other.index && id == other.id && routing == other.routing;
  }
  bool is_routed() const { return index->plan.routing.has_value(); }
  uint64_t version() const {
    const uint64_t commit = position.commit_lsn.value();
    return values == nullptr && is_routed() ? commit - 1 : commit;
  }
  // Of a row with these values. kFailedPrecondition: the one that routes is not there.
  absl::Status NameBy(std::span<const schemas::Value> row);

  const TableIndex* index = nullptr;
  std::string id{};
  std::string routing{};
  schemas::Value* values = nullptr;  // Null: it is deleted.
  engine::Position position{};       // Of the last change.
  size_t changes = 0;
  bool has_unchanged = false;
  bool may_be_replay = false;
  std::string existing{};  // The document that unchanged values are taken from.
};

// After `stale` deletions (places among `entries`) found something later: deletes what is still at
// the place that they are of, and of their own commit.
absl::Status DeleteLeft(Cluster& cluster, BulkSender& sender,
                        const std::vector<WindowEntry>& entries, std::span<const uint64_t> stale,
                        BulkSender::Visibility visibility, std::stop_token stop);

}  // namespace pgflow::sinks
