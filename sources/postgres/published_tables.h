// What the catalog says of a publication and of the tables that could be in it.
//
// Reads system catalogs only: unlike pg_publication_tables and pg_relation_size it locks no table,
// so that nobody's lock on one stops it. Errors: those of the connection.
#pragma once

#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "postgres/client/connection.h"
#include "schemas/table_schema.h"

namespace pgflow::sources {

// The comment on a publication that pgflow made.
inline constexpr const char* kPublicationMark = "made by pgflow";

struct CatalogRelation {
  postgres::Oid oid = 0;
  schemas::TableName name{};
  bool partitioned = false;
  bool partition = false;  // Of a partitioned table, published or not.
  // How it came into the publication, as identities of rows of the catalog: of a table that left it
  // and came back they are others. Empty: it is not in it.
  std::set<std::string> paths{};
  std::string part{};           // Its row filter and column list, as the catalog keeps them.
  bool listed = false;          // Its rows are published under its own name.
  bool since_creation = false;  // It was never outside, unless it was unlogged.
  uint64_t made = 0;            // Number of the transaction that made it; 0: not known.
  bool gone = false;            // As something that is known: a look did not see it any more.
  // Of one that is known: the sinks are still to get it, under this name and no other.
  bool joining = false;
};

struct PublicationContent {
  postgres::Oid oid = 0;  // 0: there is no such publication.
  std::string version;    // Another one after each change of its options or its owner.
  std::string owner;
  uint64_t horizon = 0;                    // What transactions before this one did was seen.
  bool ours = false;                       // Made by pgflow, as its comment says.
  std::string kinds_left_out;              // "update, delete": it does not publish these.
  bool needs_identities = true;            // It publishes UPDATE or DELETE.
  bool all_tables = false;                 // FOR ALL TABLES.
  std::vector<CatalogRelation> relations;  // Permanent ones, published or not.
};

absl::StatusOr<PublicationContent> ReadPublicationContent(postgres::Connection& connection,
                                                          const std::string& publication,
                                                          const std::stop_token& stop);

}  // namespace pgflow::sources
