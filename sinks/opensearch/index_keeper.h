// IndexKeeper: the indices behind the tables: created, loaded, kept to the tables' columns,
// emptied, rebuilt.
//
// A table's documents are written to and found under one name. Where we made it, it is an alias of
// one index ("orders" of "orders-000001"), so that a rebuilt index takes its place in one step; an
// index that somebody else made under the very name is used as it is. What we must remember of a
// table stands in the mapping's _meta.pgflow.
//
// Cheap to make; one thread. Errors: those of Cluster, with the table and what to do.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <nlohmann/json.hpp>

#include "engine/api/sink.h"
#include "sinks/opensearch/cluster.h"
#include "sinks/opensearch/index_scan.h"
#include "sinks/opensearch/index_shape.h"
#include "sinks/opensearch/index_state.h"
#include "sinks/opensearch/schema_step.h"
#include "sinks/opensearch/table_index.h"

namespace pgflow::sinks {

// Two tables must not have one index. kFailedPrecondition: `name` is another table's.
absl::Status ClaimIndexName(std::map<std::string, schemas::TableName>& owners,
                            const std::string& name, const schemas::TableName& table);

class IndexKeeper {
 public:
  // All must outlive this. `log` names the stream whose positions it is given.
  IndexKeeper(const OpenSearchSinkConfig& config, const SearchProduct& product, Cluster& cluster,
              std::string log = {})
      : config_(config), product_(product), cluster_(cluster), log_(std::move(log)) {}

  // The rows of these are written to a copy beside what is there: NameOf is the copy's.
  void FillCopies(std::set<schemas::TableName> tables) { copied_ = std::move(tables); }
  // Of these tables of the source somebody else fills a copy. What is there stays as it was made,
  // whatever the options say by now.
  void KeepWhileCopied(std::set<schemas::TableName> sources) {
    held_ = std::move(sources);
    kept_.clear();
  }
  bool IsKept(const schemas::TableName& table) const {
    return held_.contains(table) || kept_.contains(table);
  }

  absl::StatusOr<std::string> NameOf(const schemas::TableName& table) const;

  // That the table can have an index, without asking the server.
  absl::Status Check(const engine::TablePlan& table) const;
  // For a snapshot: the index is there, fits the table, and takes rows fast (no replicas, no
  // refresh). `fresh`: and is empty, or what on_existing_documents says.
  absl::Status Prepare(const engine::TablePlan& table, bool fresh, std::stop_token stop);
  // Removes all documents.
  absl::Status Reset(const engine::TablePlan& table, std::stop_token stop);
  // Undoes what Prepare did for the load.
  absl::Status FinishLoading(const schemas::TableName& table, std::stop_token stop);
  absl::Status FinishLoading(IndexState& state, std::stop_token stop);

  // As Prepare left it.
  absl::StatusOr<TableIndexPtr> Open(const engine::TablePlan& table, std::stop_token stop);
  // What the table's index has followed and looks like; without columns when there is none. Read
  // before anything of the table is written: what the stream has from before that step is in the
  // documents, and must not come into them again in its older shape.
  absl::StatusOr<IndexMeta> Followed(const schemas::TableName& table, std::stop_token stop);
  // For rows of the stream from `step` on: creates the index when it is not there, and brings it
  // and its documents to the schema. `empties`: no older document stays, none is brought. What
  // cannot be brought there is engine::CopyAgain, here and in Announce.
  absl::StatusOr<TableIndexPtr> Bind(const schemas::TableSchema& schema, SchemaStep step,
                                     bool empties, std::stop_token stop);
  // A captured change of the columns, without the table's next row. Documents follow the names; new
  // columns and types wait for that row.
  absl::Status Announce(const schemas::TableName& table, const ColumnsChange& change,
                        SchemaStep step, std::stop_token stop);
  // The table is no more. Its documents stay until another one has the name.
  absl::Status Drop(const schemas::TableName& table, SchemaStep step, std::stop_token stop);
  // The table is a new one: documents of an earlier one of the name go.
  absl::Status Replace(const schemas::TableName& table, SchemaStep step, std::stop_token stop);
  // The table's documents are found under its new name from now on.
  absl::Status Rename(const schemas::TableName& from, const schemas::TableName& to, SchemaStep step,
                      std::stop_token stop);

  // In one step: `index` gets the name, and the other names of `old`, which had it. Searches that
  // are under way in `old` come to their end; RemoveOld removes it when they have had the time.
  absl::Status GiveName(const std::string& name, const std::optional<IndexState>& old,
                        const std::string& index, nlohmann::json more_actions,
                        std::stop_token stop);
  // Cheap when there is nothing to remove.
  absl::Status RemoveOld(std::stop_token stop);

  // What is to be done with a new index before it takes the name.
  using Completion = std::function<absl::Status(const std::string& index)>;
  // The table's documents into a new index of the state's mapping and meta, which then takes the
  // name in one step.
  absl::Status RebuildWith(IndexState state, const schemas::TableName& table,
                           const FieldEdits& edits, const Completion& complete,
                           std::stop_token stop);

 private:
  // With `name` as its alias, unless that is empty.
  absl::Status Create(const std::string& name, const std::string& index, const IndexShape& shape,
                      const IndexMeta& meta, std::stop_token stop);
  absl::StatusOr<IndexState> CreateFirst(const std::string& name, const IndexShape& shape,
                                         std::stop_token stop);
  absl::Status Fit(IndexState& state, const IndexShape& shape, SchemaStep step, bool empties,
                   std::stop_token stop);
  // The new index is complete and on disk, and says itself what it has followed, when it takes the
  // name; until then everybody sees the old one. `edits` is null: without the documents.
  absl::Status Rebuild(IndexState& state, const IndexShape& shape, const FieldEdits* edits,
                       const IndexMeta& meta, const Completion& complete, std::stop_token stop);
  // The next index behind the name. Removes what abandoned rebuilds left.
  absl::StatusOr<std::string> NextIndex(const IndexState& state, std::stop_token stop);
  absl::Status ReadFormerNames(std::stop_token stop);
  // It follows `step` of our log; what another log says of it counts no more.
  void Advance(IndexMeta& meta, SchemaStep step) const;
  absl::Status StartLoading(IndexState& state, std::stop_token stop);
  absl::Status PrepareCopy(const std::string& name, IndexShape& shape, std::stop_token stop);
  static std::set<schemas::TableName> SourcesOf(const IndexMeta& meta,
                                                const schemas::TableName& table);
  absl::Status RemoveDocuments(IndexState& state, const IndexShape& shape, std::stop_token stop);
  static TableIndexPtr MakeIndex(const IndexState& state, IndexShape shape);

  const OpenSearchSinkConfig& config_;
  const SearchProduct& product_;
  Cluster& cluster_;
  const std::string log_;
  std::map<std::string, absl::Time> old_;  // Indices that go, and when.
  std::set<schemas::TableName> copied_;
  std::set<schemas::TableName> held_;  // Of the source.
  std::set<schemas::TableName> kept_;  // That have rows of those.
  // Names that indices had until their tables were renamed.
  std::optional<std::map<std::string, SchemaStep>> former_;
};

}  // namespace pgflow::sinks
