// Tables that a pipeline chose and that its stream cannot carry yet: the role may not publish them,
// or not read them. Each is named with the commands that mend it.
//
// Free functions over a connection. Errors: those of the connection.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "postgres/client/connection.h"
#include "schemas/catalog.h"
#include "sources/postgres/known_source.h"
#include "sources/postgres/published_tables.h"

namespace pgflow::sources {

struct LeftOutTable {
  schemas::TableName table;
  std::vector<postgres::Oid> oids;  // Of what holds its rows.
  std::string why;
  std::string remedy;  // Commands, and who has to run them.
};

struct Reach {
  std::string publication;
  const PublicationContent* content = nullptr;  // Of it.
  const KnownSource* known = nullptr;           // What of it has been copied.
  bool standby = false;                         // Nothing can be written on this server.
};

// Takes them out of the catalog, with their problems. Of tables that the stream carries, what the
// role may not read is no problem any more: they need no copy.
absl::StatusOr<std::vector<LeftOutTable>> LeaveOut(postgres::Connection& connection,
                                                   const Reach& reach, schemas::Catalog& catalog,
                                                   const std::stop_token& stop);

}  // namespace pgflow::sources
