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
    " relation AS (SELECT oid, xmin AS writer, relnamespace, oid::regclass::text AS what"
    "  FROM pg_catalog.pg_class WHERE oid = ANY ($3::oid[])),"
    " publication AS (SELECT oid, xmin AS writer, 'publication ' || quote_ident(pubname) AS what"
    "  FROM pg_catalog.pg_publication WHERE pubname = $2::text),"
    " written AS ("
    "  SELECT what, writer FROM relation"
    "  UNION ALL SELECT what, a.xmin FROM relation r"
    "   JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0"
    "  UNION ALL SELECT what, i.xmin FROM relation r"
    "   JOIN pg_catalog.pg_index i ON i.indrelid = r.oid"
    "  UNION ALL SELECT what, n.xmin FROM relation r"
    "   JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace"
    "  UNION ALL SELECT what, writer FROM publication"
    "  UNION ALL SELECT what, m.xmin FROM publication p"
    "   JOIN pg_catalog.pg_publication_rel m ON m.prpubid = p.oid{})"
    " SELECT what FROM written LEFT JOIN slot ON true"
    "  WHERE slot.age IS NULL OR age(writer) BETWEEN 0 AND slot.age"
    " UNION ALL SELECT 'table with OID ' || gone FROM unnest($3::oid[]) gone"
    "  WHERE gone NOT IN (SELECT oid FROM relation)"
    " LIMIT 1";

constexpr const char* kOfSchemas =
    "  UNION ALL SELECT what, m.xmin FROM publication p"
    "   JOIN pg_catalog.pg_publication_namespace m ON m.pnpubid = p.oid";

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
