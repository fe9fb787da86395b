#include "sources/postgres/changed_definitions.h"

#include <array>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/status.h"

namespace pgflow::sources {
namespace {

using postgres::Parameter;

// $1: the slot, $2: the publication, $3: the tables. A row of the catalog that was written by a
// transaction older than the slot's catalog_xmin is there for all that the slot's reader has still
// to decode. A negative age is that of a row which is frozen since long ago.
constexpr const char* kChangedSql =
    "WITH slot AS (SELECT age(catalog_xmin) AS age FROM pg_catalog.pg_replication_slots"
    "  WHERE slot_name = $1::text),"
    " wanted AS (SELECT unnest($3::oid[]) AS relation),"
    " written(what, writer) AS ("
    "  SELECT c.oid::regclass::text, c.xmin FROM pg_catalog.pg_class c"
    "   JOIN wanted w ON c.oid = w.relation"
    "  UNION ALL SELECT a.attrelid::regclass::text, a.xmin FROM pg_catalog.pg_attribute a"
    "   JOIN wanted w ON a.attrelid = w.relation WHERE a.attnum > 0"
    "  UNION ALL SELECT i.indrelid::regclass::text, i.xmin FROM pg_catalog.pg_index i"
    "   JOIN wanted w ON i.indrelid = w.relation"
    "  UNION ALL SELECT c.oid::regclass::text, n.xmin FROM pg_catalog.pg_class c"
    "   JOIN wanted w ON c.oid = w.relation"
    "   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    "  UNION ALL SELECT 'publication ' || quote_ident(p.pubname), p.xmin"
    "   FROM pg_catalog.pg_publication p WHERE p.pubname = $2::text"
    "  UNION ALL SELECT 'publication ' || quote_ident(p.pubname), r.xmin"
    "   FROM pg_catalog.pg_publication p"
    "   JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid WHERE p.pubname = $2::text{})"
    " SELECT what FROM written LEFT JOIN slot ON true"
    "  WHERE slot.age IS NULL OR age(writer) BETWEEN 0 AND slot.age"
    " UNION ALL SELECT 'table with OID ' || relation FROM wanted w"
    "  WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = w.relation)"
    " LIMIT 1";

constexpr const char* kOfSchemas =
    "  UNION ALL SELECT 'publication ' || quote_ident(p.pubname), n.xmin"
    "   FROM pg_catalog.pg_publication p"
    "   JOIN pg_catalog.pg_publication_namespace n ON n.pnpubid = p.oid WHERE p.pubname = $2::text";

}  // namespace

absl::StatusOr<std::string> FindChangedWhileDecoded(postgres::Connection& connection,
                                                    const std::string& slot,
                                                    const std::string& publication,
                                                    std::span<const postgres::Oid> tables,
                                                    std::stop_token stop) {
  const bool has_schemas = connection.server_version() >= 150000;
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result changed,
      connection.ExecuteParams(
          fmt::format(kChangedSql, has_schemas ? kOfSchemas : ""),
          std::array{Parameter::Text(slot), Parameter::Text(publication),
                     Parameter::Text(fmt::format("{{{}}}", fmt::join(tables, ",")))},
          std::move(stop)));
  return changed.row_count() == 0 ? std::string() : changed.text(0, 0);
}

}  // namespace pgflow::sources
