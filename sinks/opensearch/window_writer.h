// WindowWriter: the changes of a window as bulk requests, each document at most once in each.
//
// Owned by the sink; one thread. Changes of one row are reduced to what they come to; what cannot
// wait (a truncate, a change of the schema, a changed key of a row whose large values were not
// sent) is a barrier: everything before it is done first.
//
// Errors: those of BulkSender and IndexKeeper; kInvalidArgument with engine::kCulpritPayload: that
// event's document is refused, and earlier changes of its row wait for it.
#pragma once

#include <cstdint>
#include <map>
#include <memory_resource>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "engine/api/sink.h"
#include "sinks/opensearch/bulk_sender.h"
#include "sinks/opensearch/index_keeper.h"
#include "sinks/opensearch/nested_rows.h"
#include "sinks/opensearch/window_entry.h"

namespace pgflow::sinks {

class WindowWriter {
 public:
  // All must outlive this. Changes up to `sent_before`, and those that committed before
  // `started`, may have been written by an earlier attempt.
  struct Replay {
    absl::Time started;
    postgres::Lsn sent_before;
  };
  WindowWriter(const OpenSearchSinkConfig& config, Cluster& cluster, IndexKeeper& keeper,
               NestedRows& nested, std::map<std::string, schemas::TableName>& owners, Replay replay)
      : config_(config),
        cluster_(cluster),
        keeper_(keeper),
        nested_(nested),
        owners_(owners),
        replay_(replay),
        sender_(cluster, config.connections) {}

  absl::StatusOr<std::vector<engine::Rejection>> Write(const engine::Window& window,
                                                       std::stop_token stop);
  // Between two windows: what is there is read again, others may have changed it.
  void Forget() { tables_.clear(); }
  // Everything up to here was sent, or a part of it.
  postgres::Lsn sent() const { return sent_; }

 private:
  using Entry = WindowEntry;
  using Values = std::vector<schemas::Value>;

  struct Table {
    TableIndexPtr index;           // Null: no row of it came yet.
    schemas::TableSchema seen;     // Of the rows that it is for.
    std::optional<IndexMeta> met;  // As it was when this writer came to it.
    // The stream is where the index was: what comes is not in the documents yet.
    bool caught_up = false;
    // What is there cannot follow any more, and is replaced soon: its changes are left out.
    bool frozen = false;
  };

  // Null: the documents have the change already.
  absl::StatusOr<const TableIndex*> IndexOf(const engine::ChangeEvent& event,
                                            engine::Position position, std::stop_token stop);
  absl::StatusOr<Table*> Meet(const schemas::TableName& name, std::stop_token stop);
  // `schema` is null for DDL.
  static bool IsDone(Table& table, SchemaStep step, const schemas::TableSchema* schema);
  absl::Status OnDone(const engine::Batch& batch, const engine::ChangeEvent& event) const;
  // True: `error` is one that the table's copy will not have.
  bool Freezes(Table& table, const schemas::TableName& name, const absl::Status& error) const;
  // How many captured commands on the table its transaction had so far.
  SchemaStep StepOf(postgres::Oid table, postgres::Lsn commit_lsn);
  // Before what shows that everything earlier is done: it must be, and a refused row be told of.
  absl::Status Settle(std::stop_token stop);
  absl::StatusOr<TableIndexPtr> Bind(const schemas::TableSchema& schema, SchemaStep step,
                                     bool empties, std::stop_token stop);
  absl::Status Add(const engine::Batch& batch, const engine::ChangeEvent& event,
                   std::stop_token stop);
  absl::Status AddRow(const TableIndex& index, const engine::ChangeEvent& event,
                      engine::Position position, bool may_be_replay, std::stop_token stop);
  absl::Status Move(Entry removed, Entry entry, std::stop_token stop);
  absl::Status OnSchemaChange(const engine::ChangeEvent& event, engine::Position position,
                              std::stop_token stop);
  absl::Status OnColumns(const schemas::TableName& name, const ColumnsChange& change,
                         const engine::ChangeEvent& event, SchemaStep step, std::stop_token stop);
  absl::Status OnRename(const schemas::TableName& from, const schemas::TableName& to,
                        SchemaStep step, std::stop_token stop);
  absl::Status Truncate(const TableIndex& index, engine::Position position, std::stop_token stop);
  void Put(Entry entry);
  schemas::Value* Keep(const Values& values);
  // Finds what the entries take unchanged values from; removes those that need not be written.
  absl::Status FetchExisting(std::stop_token stop);
  absl::Status Flush(BulkSender::Visibility visibility, std::stop_token stop);
  // The bulk requests of all documents but those with nested rows.
  std::vector<BulkBody> Encode();
  absl::Status WriteNested(BulkSender::Visibility visibility, std::stop_token stop);
  absl::Status OnRefused(const std::vector<RefusedItem>& refused);
  absl::Status OnMissing(const Entry& entry);
  void Reject(const Entry& entry, absl::Status error);
  bool MayBeReplay(const engine::Batch& batch, const engine::ChangeEvent& event) const;

  const OpenSearchSinkConfig& config_;
  Cluster& cluster_;
  IndexKeeper& keeper_;
  NestedRows& nested_;
  std::map<std::string, schemas::TableName>& owners_;  // By name of an index: whose it is.
  const Replay replay_;
  BulkSender sender_;

  std::map<schemas::TableName, Table> tables_;
  postgres::Lsn commands_lsn_;                  // The transaction whose commands are counted:
  std::map<postgres::Oid, uint32_t> commands_;  // by table.
  const schemas::TableSchema* last_schema_ = nullptr;  // Within one batch only.
  const TableIndex* last_index_ = nullptr;

  std::pmr::monotonic_buffer_resource memory_;
  std::vector<Entry> entries_;
  absl::flat_hash_map<Entry::Key, size_t> by_name_;
  std::vector<engine::Rejection> rejections_;
  Values before_;
  Values after_;
  postgres::Lsn sent_;
};

}  // namespace pgflow::sinks
