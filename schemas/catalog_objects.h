// CatalogObjects: what the definitions of chosen tables refer to, with all that it refers to
// itself: types, functions, collations, extensions, row types of other tables. Internal to this
// folder.
#pragma once

#include <map>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <absl/status/statusor.h>

#include "postgres/client/connection.h"
#include "schemas/catalog.h"
#include "schemas/catalog_types.h"
#include "schemas/table_definition.h"

namespace pgflow::schemas {

// Filled by Read; Define uses it up. Thread-compatible.
class CatalogObjects {
 public:
  // What depends on what is as pg_depend has it: the text of a function's body is not looked into.
  static absl::StatusOr<CatalogObjects> Read(postgres::Connection& connection,
                                             std::span<const postgres::Oid> chosen,
                                             std::stop_token stop);

  // The types among them.
  std::vector<postgres::Oid> Types() const;

  // Adds to `definition` what has to be created for its tables, whose names by oid are `chosen`,
  // each behind what it refers to. What cannot be created is named in `problems`.
  void Define(const CatalogTypes& types, const std::map<postgres::Oid, TableName>& chosen,
              DatabaseDefinition& definition, std::vector<CatalogProblem>& problems);

 private:
  using Node = std::pair<postgres::Oid, postgres::Oid>;  // pg_depend's classid and objid.
  // Whether what a node refers to can be created before all chosen tables, only behind some of
  // them, or only behind the one for whose sake it is looked at.
  enum class Place { kBeforeTables, kAmongTables, kAfterTables };

  absl::Status ReadReferences(postgres::Connection& connection, const std::string& chosen,
                              const std::stop_token& stop);
  absl::Status ReadObjects(postgres::Connection& connection, const std::stop_token& stop);
  bool IsRoot(Node node) const;
  std::string OidsOf(postgres::Oid catalog) const;
  Place Visit(Node node);
  Place VisitAll(const std::vector<Node>& nodes);
  void Emit(Node node, Place place);

  std::set<postgres::Oid> roots_;  // The chosen tables.
  std::map<Node, std::vector<Node>> references_;
  std::set<Node> members_;  // Of extensions.
  std::map<Node, ObjectDefinition> objects_;
  std::map<Node, std::string> others_;  // What pgflow does not create, as the server describes it.

  // While Define runs.
  const CatalogTypes* types_ = nullptr;
  const std::map<postgres::Oid, TableName>* chosen_ = nullptr;
  std::vector<CatalogProblem>* problems_ = nullptr;
  DatabaseDefinition* definition_ = nullptr;
  std::map<Node, Place> places_;
  std::set<Node> under_way_;
  std::vector<LateDefinition> last_;
};

}  // namespace pgflow::schemas
