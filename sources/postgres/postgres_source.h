// PostgresSource: tables and changes of one Postgres database, by its own logical decoding.
//
// See engine::Source for the thread rule. Guarantees: the snapshot and the stream meet at one
// consistent point; a table that is rewritten while it is read is noticed (RangeOutcome); the slot
// is never confirmed beyond what was acknowledged.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/api/source.h"
#include "postgres/client/connection.h"
#include "schemas/catalog.h"
#include "sources/postgres/joined_schemas.h"
#include "sources/postgres/known_source.h"
#include "sources/postgres/left_out.h"
#include "sources/postgres/new_tables.h"
#include "sources/postgres/relation_cache.h"
#include "sources/postgres/slot.h"
#include "sources/postgres/source_config.h"

namespace pgflow::sources {

class PostgresSource final : public engine::Source {
 public:
  // kInvalidArgument names the field.
  static absl::StatusOr<std::unique_ptr<engine::Source>> Make(PostgresSourceConfig config);

  engine::SourcePlan plan() const override;
  absl::StatusOr<engine::SourceIdentity> Open(std::stop_token stop) override;
  absl::StatusOr<postgres::Lsn> TimelineEnd(uint32_t timeline, std::stop_token stop) override;
  absl::StatusOr<engine::SlotState> OpenSlot(bool create, std::stop_token stop) override;
  absl::Status DropSlot(std::stop_token stop) override;
  engine::TableSelection selection() const override {
    return {config_.tables.include, config_.tables.exclude};
  }
  absl::StatusOr<std::vector<engine::ChosenTable>> ListTables(
      const engine::TableSelection& selection, std::stop_token stop) override;
  absl::Status Select(const engine::TableSelection& selection, std::stop_token stop) override;
  absl::Status KeepTables(std::stop_token stop) override;
  absl::Status SettleTables(std::stop_token stop) override;
  bool TakeNewTables() override { return new_tables_.Take(); }
  absl::StatusOr<std::unique_ptr<engine::SnapshotSession>> OpenSnapshot(
      std::stop_token stop) override;
  void ReleaseSnapshot() override { created_.reset(); }
  absl::Status Run(engine::StreamWriter& out, std::stop_token stop) override;
  absl::Status ConfirmSlot(std::stop_token stop) override;
  void Acknowledge(postgres::Lsn lsn) override;
  bool awaited() const override { return awaited_.load(std::memory_order_relaxed); }
  absl::StatusOr<engine::SlotHealth> Health(std::stop_token stop) override;
  absl::StatusOr<postgres::Lsn> CurrentLsn(std::stop_token stop) override;
  absl::StatusOr<engine::SourceCheck> Check(std::stop_token stop) override;

 private:
  PostgresSource(PostgresSourceConfig config, schemas::TableFilter filter)
      : config_(std::move(config)), filter_(std::move(filter)) {}

  std::string slot() const;
  std::string publication() const;
  bool own_changes_only() const { return config_.replication.origin == ChangeOrigin::kNone; }
  postgres::ConnectOptions Options(std::string_view role) const;
  // The session for everything but the snapshot and the stream; connects again when it broke.
  absl::StatusOr<postgres::Connection*> Control(std::stop_token stop);
  // The tables that the filter chooses; an error when the choice cannot work.
  // Tables that `published` lacks and that must not be published, or that are out of the role's
  // reach: left out when `began`.
  absl::StatusOr<schemas::Catalog> ReadTables(postgres::Connection& connection,
                                              const schemas::TableFilter& filter,
                                              const std::optional<PublicationRow>& published,
                                              bool began, std::stop_token stop);
  absl::Status LeaveOutOfReach(postgres::Connection& connection, const PublicationRow& published,
                               schemas::Catalog& catalog, const std::stop_token& stop);
  // Says once what the role can do, and what a superuser would have to.
  absl::Status Advise(postgres::Connection& connection, bool is_first_start,
                      const std::stop_token& stop);
  // How the tables that join are copied.
  absl::Status NoteJoined(const engine::SnapshotSession& session);
  // Once for each text.
  void Warn(const std::string& text);
  // Gives the publication the tables that are to join.
  absl::Status Publish(postgres::Connection& connection, const schemas::TableFilter& filter,
                       const std::stop_token& stop);
  // What this source and its slot are known for; opened when it is needed.
  absl::StatusOr<KnownSourceStore*> Known();
  // Of a slot that is about to be made.
  absl::StatusOr<PublicationContent> ReadCarried(postgres::Connection& connection,
                                                 const std::stop_token& stop) const;
  absl::StatusOr<engine::SlotHealth> AskHealth(postgres::Connection& control,
                                               const std::stop_token& stop);
  absl::Status PreparePublication(postgres::Connection& connection, bool create, bool slot_exists,
                                  std::stop_token stop);
  absl::Status TryToPreparePublication(postgres::Connection& connection, bool create,
                                       bool slot_exists, std::stop_token stop);
  absl::Status PrepareCapture(postgres::Connection& connection, const schemas::TableFilter& filter,
                              bool create, bool slot_exists, const std::stop_token& stop);
  absl::StatusOr<std::unique_ptr<engine::SnapshotSession>> ImportSnapshot(
      const CreatedSlot& created, std::stop_token stop);

  PostgresSourceConfig config_;  // Select changes the tables and the filter that is made of them.
  schemas::TableFilter filter_;
  std::unique_ptr<postgres::Connection> control_;
  std::optional<engine::SourceIdentity> identity_;  // Of the first Open; constant from then on.
  std::optional<CreatedSlot> created_;              // Until its snapshot was taken over.
  std::unique_ptr<RelationCache> relations_;        // The stream's thread only.
  postgres::Lsn streamed_to_;                       // The writer's tail after the last Run.
  // As ListTables said last: what is to join the stream, under which name.
  std::map<postgres::Oid, schemas::TableName> coming_;
  std::vector<LeftOutTable> left_out_;  // As the tables were read last.
  std::set<std::string> warned_;
  bool advised_ = false;
  NewTables new_tables_;
  JoinedSchemas joined_;
  bool has_slot_ = false;                     // There is a stream whose tables a snapshot copies.
  std::optional<PublicationContent> listed_;  // What ListTables saw.
  std::unique_ptr<KnownSourceStore> known_;
  std::atomic<bool> tables_are_known_{false};  // It knows those of this run.
  bool is_first_session_ = false;              // control_ is the one that identity_ was read from.
  bool ran_ = false;
  bool takes_in_progress_ = true;  // The server may send transactions before they end.
  bool captured_ = false;          // The DDL capture is there.
  std::atomic<uint64_t> acknowledged_{0};
  std::atomic<int> walsender_pid_{0};  // On the server; 0: none streams to us.
  std::atomic<bool> awaited_{false};   // It is a synchronous standby's.
};

}  // namespace pgflow::sources
