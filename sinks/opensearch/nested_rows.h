// NestedRows: the rows of joined tables within their parents' documents (docs/adr/0014).
//
// A child's row has a document in an index of its own, which names its parent. A parent's document
// gets its rows from there whenever it, or one of them, changes; so they are right whatever came
// before, and come again after a replay. A parent's version stays that of its own row.
//
// Owned by a sink or one of its lanes; one thread. Those of one sink share a lock: what one reads,
// the other must not change before it is written. Errors: those of Cluster and BulkSender;
// kFailedPrecondition: a document cannot take its rows.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "base/mutex.h"
#include "sinks/opensearch/bulk_sender.h"
#include "sinks/opensearch/index_keeper.h"

namespace pgflow::sinks {

// A child's row was written or deleted.
struct ChildChange {
  const JoinOptions* join = nullptr;
  std::string id;         // Of its document.
  std::string parent_id;  // What it names now; empty: none.
};

// A parent's own row.
struct ParentRow {
  std::string id;
  uint64_t version = 0;
  std::string document;  // Without nested rows; empty: it is deleted.
  uint64_t tag = 0;      // The caller's; not kNoTag.
};

class NestedRows {
 public:
  static constexpr uint64_t kNoTag = UINT64_MAX;

  // All must outlive this.
  NestedRows(const OpenSearchSinkConfig& config, Cluster& cluster, IndexKeeper& keeper,
             base::Mutex& lock)
      : config_(config), cluster_(cluster), keeper_(keeper), lock_(lock), sender_(cluster, 1) {}

  // The table is part of a join.
  bool Has(const schemas::TableName& table) const;
  bool IsParent(const schemas::TableName& table) const {
    return !left_out_ && !config_.JoinsWithParent(table).empty();
  }
  // For one that fills copies: their rows are brought together when they take their places.
  void LeaveOut() { left_out_ = true; }
  base::Mutex& lock() { return lock_; }

  // After the children's documents were written: brings every parent to them that has, had or gets
  // one of those rows, and writes parents' own rows. The parents' own that the server refuses.
  absl::StatusOr<std::vector<RefusedItem>> Write(
      const std::vector<ChildChange>& children,
      const std::map<schemas::TableName, std::vector<ParentRow>>& parents,
      BulkSender::Visibility visibility, std::stop_token stop) ABSL_LOCKS_EXCLUDED(lock_);

  // After `child` lost rows nobody counted: brings all parents that have some to what there is.
  absl::Status OnTruncate(const schemas::TableName& child, std::stop_token stop)
      ABSL_LOCKS_EXCLUDED(lock_);

  // Where the index of the table, of its parents or its children is new, or looks otherwise: brings
  // mappings and documents to it. Does nothing while one of them is being loaded.
  absl::Status Fit(const schemas::TableName& table, std::stop_token stop)
      ABSL_LOCKS_EXCLUDED(lock_);
  // A copy of the table gets what it is to have in it of others, before it takes its place.
  absl::Status FitCopy(const schemas::TableName& table, IndexState copy, std::stop_token stop)
      ABSL_LOCKS_EXCLUDED(lock_);
  // A load of the table begins: its parents' documents are to be brought to it afterwards.
  absl::Status Forget(const schemas::TableName& table, std::stop_token stop)
      ABSL_LOCKS_EXCLUDED(lock_);

 private:
  // Where a parent's documents are.
  struct Parent {
    schemas::TableName table;
    std::string index;
    BulkTarget target;
    std::vector<const JoinOptions*> joins;
  };
  struct Rows {
    std::string documents;  // JSON, with commas.
    std::string ids;
  };
  using RowsByParent = std::map<std::string, Rows>;
  using OwnRows = std::map<std::string, const ParentRow*>;

  absl::StatusOr<std::optional<Parent>> FindParent(const schemas::TableName& table,
                                                   std::stop_token stop);
  absl::Status AddHolders(const Parent& parent, const JoinOptions& join,
                          const std::vector<std::string>& children, std::set<std::string>& ids,
                          std::stop_token stop);
  absl::StatusOr<RowsByParent> RowsOf(const JoinOptions& join, std::span<const std::string> parents,
                                      std::stop_token stop);
  absl::StatusOr<std::vector<RefusedItem>> Rewrite(const Parent& parent,
                                                   std::span<const std::string> ids,
                                                   const OwnRows& own,
                                                   BulkSender::Visibility visibility,
                                                   std::stop_token stop);
  // All that `query` finds in the parents' index.
  absl::Status RewriteFound(const Parent& parent, const nlohmann::json& query,
                            std::stop_token stop);
  absl::Status Refresh(const JoinOptions& join, std::stop_token stop);
  absl::Status FitJoin(const JoinOptions& join, std::stop_token stop);
  absl::Status Rebuild(const JoinOptions& join, IndexState state, IndexMeta::Nested rows,
                       std::stop_token stop);
  absl::StatusOr<std::string> ChildIndex(const JoinOptions& join) const;

  const OpenSearchSinkConfig& config_;
  Cluster& cluster_;
  IndexKeeper& keeper_;
  base::Mutex& lock_;
  BulkSender sender_;
  std::map<schemas::TableName, Parent> parents_;
  bool left_out_ = false;
};

// The document with rows in it; `document` is an object, `fields` and `links` name each join's.
// What it had of them before is replaced.
std::string ReplaceMembers(std::string_view document,
                           const std::vector<std::pair<std::string, std::string>>& members);

}  // namespace pgflow::sinks
