// The slot and the publication of a pipeline on the server: look at, make, remove.
//
// Free functions over a connection; errors name the object and what to do.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "postgres/client/connection.h"
#include "postgres/types/lsn.h"
#include "schemas/catalog.h"
#include "sources/postgres/published_tables.h"

namespace pgflow::sources {

struct SlotRow {
  bool usable = false;
  std::string obstacle;  // Why not, and what to do.
  std::string wal_status;
  std::optional<int> active_pid;
  bool failover = false;  // Standbys may keep it too.
  postgres::Lsn confirmed_flush;
};

struct PublicationRow {
  bool ours = false;                       // Made by pgflow, as its comment says.
  std::string obstacle;                    // A setting that would lose changes; empty: fine.
  std::vector<schemas::TableName> leaves;  // Sorted. Of what is published whole: the root.
  schemas::PublishedParts parts;           // What it leaves out.
  PublicationContent content;

  // The user made it, and is to fill it later.
  bool awaits_tables() const { return !ours && leaves.empty(); }
};

// Whether the server is a standby: nothing can be written there.
absl::StatusOr<bool> IsStandby(postgres::Connection& connection, std::stop_token stop);

// Nothing when there is none.
absl::StatusOr<std::optional<SlotRow>> ReadSlot(postgres::Connection& connection,
                                                const std::string& slot, std::stop_token stop);
absl::StatusOr<std::optional<PublicationRow>> ReadPublication(postgres::Connection& connection,
                                                              const std::string& publication,
                                                              std::stop_token stop);
// Chosen tables that the publication lacks.
std::vector<schemas::TableName> MissingTables(const PublicationRow& publication,
                                              const schemas::Catalog& catalog);
// Those of them that are there now, and missing: others were made, dropped or renamed between the
// two looks.
absl::StatusOr<std::vector<schemas::TableName>> StillMissing(postgres::Connection& connection,
                                                             const std::string& publication,
                                                             std::vector<schemas::TableName> tables,
                                                             std::stop_token stop);

// Leaves out tables that must not be published, and are not yet. What the catalog says of such a
// problem is no longer fatal then, nor where the table has been published anyway.
void LeaveOutUnpublishable(const PublicationContent& publication, schemas::Catalog& catalog);

// Row filters, column lists and kinds of changes that are left out: the DDL capture knows tables as
// they are. kFailedPrecondition when `row` has such.
absl::Status RefuseDdlOf(const PublicationRow& row, const std::string& publication);
// Who gets no UPDATE or DELETE needs no replica identity: takes such problems out.
void LeaveOutIdentityProblems(const PublicationContent& publication, schemas::Catalog& catalog);

// Makes the publication, or gives ours another list of tables. kFailedPrecondition at a standby,
// with the SQL for its primary.
absl::Status CreatePublication(postgres::Connection& connection, const std::string& publication,
                               const schemas::Catalog& catalog, std::stop_token stop);
absl::Status SetPublicationTables(postgres::Connection& connection, const std::string& publication,
                                  const PublicationRow& existing, const schemas::Catalog& catalog,
                                  std::stop_token stop);
// Adds what ours lacks of the catalog's tables and drops what the filter does not choose: a table
// that was made since the catalog was read stays. With as few locks.
absl::Status ChangePublicationTables(postgres::Connection& connection,
                                     const std::string& publication,
                                     const schemas::Catalog& catalog,
                                     const schemas::TableFilter& filter, std::stop_token stop);

struct CreatedSlot {
  postgres::Lsn consistent_point;
  std::string snapshot;  // Exported; lives until `session` does something else.
  std::unique_ptr<postgres::Connection> session;
};

// kFailover: permanent, and kept on the standbys that synchronise slots, where the server can
// (version 17, a primary).
enum class SlotLife { kPermanent, kFailover, kTemporary };

// Waits until the transactions that write now are over. The walsender session is opened for it.
absl::StatusOr<CreatedSlot> CreateSlot(const postgres::ConnectOptions& options,
                                       const std::string& slot, SlotLife life,
                                       std::stop_token stop);

// OK when there was none. The publication goes only when it is ours, and stays at a standby.
absl::Status DropSlotAndPublication(postgres::Connection& connection, const std::string& slot,
                                    const std::string& publication, std::stop_token stop);

}  // namespace pgflow::sources
