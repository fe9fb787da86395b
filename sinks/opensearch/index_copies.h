// IndexCopies: the indices that are filled beside those of the tables, and take their places
// (docs/adr/0026).
//
// A copy has an alias of its own, the table's name with kCopySuffix. It says of which tables of the
// source it has the rows, and from where on the stream has to bring their changes, once it is
// complete: what the checkpoint says, too, when it is to be taken. One request gives it the
// table's name and removes the index that had it.
//
// Owned by the sink whose stream the tables join; one thread. Errors: those of Cluster.
#pragma once

#include <map>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/checkpoint.h"
#include "sinks/opensearch/cluster.h"
#include "sinks/opensearch/index_keeper.h"
#include "sinks/opensearch/index_state.h"
#include "sinks/opensearch/nested_rows.h"

namespace pgflow::sinks {

class IndexCopies {
 public:
  // All must outlive this. `log` names the stream whose positions it is given.
  IndexCopies(const OpenSearchSinkConfig& config, Cluster& cluster, IndexKeeper& keeper,
              NestedRows& nested, std::string log)
      : config_(config),
        cluster_(cluster),
        keeper_(keeper),
        nested_(nested),
        log_(std::move(log)) {}

  // Whose documents the copies of these tables of the source are.
  absl::StatusOr<std::set<schemas::TableName>> TargetsOf(
      const std::set<schemas::TableName>& sources, std::stop_token stop);

  // As engine::Sink::FinishCopies, TakeCopies and FindOutdated.
  absl::Status Finish(const std::map<schemas::TableName, postgres::Lsn>& tables,
                      std::stop_token stop);
  absl::Status Take(std::span<const engine::TableProgress> tables, std::stop_token stop);
  absl::StatusOr<std::map<schemas::TableName, std::string>> FindOutdated(std::stop_token stop);
  // What rebuilds left half-made, or had no time to remove: of an earlier process, or when
  // `of_copies` is false of this one, whose other lane may rebuild a copy now.
  absl::Status RemoveLeft(bool of_copies, std::stop_token stop);

 private:
  struct Listed {
    IndexState state;  // By its own name; without what a filter left out.
    std::set<std::string> aliases;
  };
  // Indices of ours with such names, `suffix` behind what a table's may be; what `filter` (of a
  // request; empty: all) lets through of them.
  absl::StatusOr<std::vector<Listed>> List(std::string_view suffix, std::string_view filter,
                                           std::stop_token stop);
  absl::StatusOr<std::vector<IndexState>> Copies(std::stop_token stop);
  // Of the index of the table that the meta names.
  absl::StatusOr<std::string> NameFor(const IndexMeta& meta) const;
  absl::Status TakePlace(IndexState copy, std::stop_token stop);
  absl::Status Remove(const IndexState& state, std::stop_token stop);
  // Empty: it is as the options want it, or was brought there.
  absl::StatusOr<std::string> Compare(const IndexState& listed, std::stop_token stop);

  const OpenSearchSinkConfig& config_;
  Cluster& cluster_;
  IndexKeeper& keeper_;
  NestedRows& nested_;
  const std::string log_;
};

}  // namespace pgflow::sinks
