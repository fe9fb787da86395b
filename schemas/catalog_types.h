// CatalogTypes: the types that columns use, with all that they are made of. Internal to this
// folder.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "postgres/client/connection.h"
#include "schemas/catalog.h"
#include "schemas/table_definition.h"

namespace pgflow::schemas {

// Filled by Read; then a value. Thread-compatible.
class CatalogTypes {
 public:
  static absl::StatusOr<CatalogTypes> Read(postgres::Connection& connection,
                                           std::span<const postgres::Oid> roots,
                                           std::stop_token stop);

  TypeFacts FactsOf(postgres::Oid type) const;
  // How `type` is created, when what it is made of is there; none for one that comes with another.
  // A type that cannot be created is named in `problems`.
  std::optional<ObjectDefinition> Definition(postgres::Oid type,
                                             std::vector<CatalogProblem>& problems) const;

 private:
  struct Field {
    std::string name;
    postgres::Oid type = 0;
    std::string type_sql;
  };
  struct Entry {
    TableName name;
    std::string formatted;
    char kind = 'b';            // pg_type.typtype.
    postgres::Oid element = 0;  // Of a true array.
    postgres::Oid base = 0;     // Of a domain.
    postgres::Oid subtype = 0;  // Of a range; of a multirange: the range.
    postgres::Oid array = 0;    // pg_type.typarray.
    bool has_binary = true;
    bool sent_as_text = false;  // Its send function writes the text itself.
    bool row_of_table = false;  // A composite type that a table made.
    bool of_extension = false;
    std::string detail_sql;     // What stands behind CREATE TYPE / DOMAIN name.
    std::vector<Field> fields;  // Of a composite type.
    std::shared_ptr<const std::vector<std::string>> labels;  // Of an enum.
  };

  absl::Status ReadEntries(postgres::Connection& connection, std::span<const postgres::Oid> roots,
                           std::stop_token stop);
  absl::Status ReadEnums(postgres::Connection& connection, std::stop_token stop);
  absl::Status ReadFields(postgres::Connection& connection, std::stop_token stop);
  absl::Status ReadDomains(postgres::Connection& connection, std::stop_token stop);
  absl::Status ReadRanges(postgres::Connection& connection, std::stop_token stop);
  std::string OidsOfKind(char kind) const;
  const Entry* Find(postgres::Oid type) const;
  postgres::Oid WireTypeOf(postgres::Oid type) const;
  std::string BinaryObstacle(postgres::Oid type) const;
  std::vector<postgres::Oid> PartsOf(const Entry& entry) const;

  std::map<postgres::Oid, Entry> entries_;
};

// `{1,2,3}`: an oid[] literal.
std::string OidArray(std::span<const postgres::Oid> oids);

}  // namespace pgflow::schemas
