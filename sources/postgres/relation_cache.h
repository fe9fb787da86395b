// RelationCache: the schemas of the stream's tables, from their messages and the catalog.
//
// Used by the stream's thread only; outlives replication sessions, so that an unchanged table keeps
// its TableSchema. Holds a session of its own for the catalog, opened when it is needed.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "postgres/client/connection.h"
#include "schemas/catalog.h"
#include "sources/postgres/joined_schemas.h"
#include "sources/postgres/known_source.h"
#include "sources/postgres/relation_lookup.h"
#include "sources/postgres/source_config.h"

namespace pgflow::sources {

// Where changes of definitions are learnt from.
enum class DdlSource { kNone, kCapture, kRelations };

class RelationCache final : public RelationLookup {
 public:
  // `copied` knows the tables that the sinks have, or get, copies of. Null: nothing is copied. Both
  // it and `joined` must outlive the cache.
  RelationCache(postgres::ConnectOptions options, schemas::TableFilter filter, BinaryMode binary,
                DdlSource ddl, KnownSourceStore* copied, const JoinedSchemas& joined)
      : options_(std::move(options)),
        filter_(std::move(filter)),
        binary_(binary),
        ddl_(ddl),
        copied_(copied),
        joined_(joined) {}

  // Before each replication session: reads the catalog and decides on the format. "stop" counts
  // until the next call.
  absl::Status Load(const std::string& slot, const std::string& publication, std::stop_token stop);
  // Whether the stream should send binary values; valid after Load.
  bool wants_binary() const { return wants_binary_; }
  // From the next Load on, whatever the catalog says then: it no longer has all that the rows to
  // come are made of.
  void RequireText() { requires_text_ = binary_ == BinaryMode::kAuto; }

  // kAborted: the stream must start over in text format, because of a new column's type.
  absl::StatusOr<schemas::TableSchemaPtr> Resolve(
      const postgres::RelationMessage& message,
      const std::optional<OpenTransactionId>& learnt_in) override;
  void Settle(postgres::Xid top, bool committed) override;
  void ForgetSubtransaction(const OpenTransactionId& rolled_back) override;
  absl::Status ConfirmDefinitions(std::span<const postgres::Oid> tables) override;
  std::string_view CaptureSecret() const override { return secret_; }
  bool Publishes(const std::vector<std::string>& publications) const override;
  bool WantsDdl(const schemas::DdlSubject& subject) const override;
  std::string TakeSchemaChange() override { return std::exchange(change_, {}); }
  // Without the DDL capture Relation messages alone tell of changed columns. That needs a stream
  // without transactions that may still roll back.
  bool tells_changes() const { return ddl_ == DdlSource::kRelations; }

 private:
  // A version that a transaction in progress brought.
  struct Learnt {
    OpenTransactionId in;
    postgres::Oid relation = 0;
    schemas::TableSchemaPtr before;  // Null: none.
    schemas::TableSchemaPtr now;
  };

  // Makes sure of connection_.
  absl::Status Connect();
  absl::Status ReadTables();
  // The schema of a message that says something new.
  absl::StatusOr<schemas::TableSchemaPtr> Learn(const postgres::RelationMessage& message,
                                                const schemas::TableSchemaPtr& before);
  // Takes back what `learnt` brought, which is no longer in the list.
  void Undo(const Learnt& learnt);
  absl::Status NoteChange(const schemas::TableSchema& before, const schemas::TableSchema& after);
  absl::StatusOr<schemas::TableSchemaPtr> Build(const postgres::RelationMessage& message,
                                                const schemas::TableSchema* now,
                                                const schemas::TableSchema* before);
  bool IsChosen(const postgres::RelationMessage& message) const;
  // The sinks have the rows that the table had before, or there were none. What is published by
  // somebody else, or was renamed before it joined, has to be copied first: until then its changes
  // are left out.
  absl::StatusOr<bool> IsCopied(const postgres::RelationMessage& message, bool was_delivered);
  bool IsTold(const schemas::TableName& table) const;
  absl::Status CheckFormat(const std::string& table, const std::string& obstacle);

  const postgres::ConnectOptions options_;
  const schemas::TableFilter filter_;
  const BinaryMode binary_;
  const DdlSource ddl_;
  KnownSourceStore* const copied_;
  const JoinedSchemas& joined_;
  std::stop_token stop_;
  std::unique_ptr<postgres::Connection> connection_;
  std::string change_;
  std::string slot_;
  std::string publication_;
  std::string secret_;
  bool publication_is_ours_ = false;
  bool publishes_unlisted_ = false;  // Tables of which the catalog's list may know nothing.
  // The transaction that made the table, where it was never outside since.
  std::map<postgres::Oid, std::optional<uint64_t>> published_;
  bool wants_binary_ = true;
  bool requires_text_ = false;
  std::map<postgres::Oid, schemas::CatalogTable> catalog_;
  std::set<schemas::TableName> partitions_;
  std::map<postgres::Oid, schemas::TableSchemaPtr> known_;
  std::vector<Learnt> learnt_;                      // By transactions in progress, in their order.
  std::map<postgres::Oid, uint64_t> next_version_;  // No version's number is given twice.
};

}  // namespace pgflow::sources
