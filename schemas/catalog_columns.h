// The columns and keys of chosen tables. Internal to this folder.
#pragma once

#include <map>
#include <memory>
#include <stop_token>
#include <string>

#include <absl/status/status.h>

#include "postgres/client/connection.h"
#include "schemas/catalog.h"

namespace pgflow::schemas {

// A table while it is read.
struct TableParts {
  std::shared_ptr<TableSchema> schema;
  TableDefinition definition;
  std::string key_left_out;     // A column of the identity that is not published.
  bool hides_identity = false;  // As in CatalogTable.
};

// `oids` is a literal (OidArray) of the keys of `tables`.
absl::Status ReadColumns(postgres::Connection& connection, const std::string& oids,
                         CatalogDepth depth, const PublishedParts& parts,
                         std::map<postgres::Oid, TableParts>& tables, const std::stop_token& stop);
absl::Status ReadKeys(postgres::Connection& connection, const std::string& oids, CatalogDepth depth,
                      std::map<postgres::Oid, TableParts>& tables, const std::stop_token& stop);

}  // namespace pgflow::schemas
