#include "sources/postgres/published_parts.h"

#include <sstream>

#include "base/status.h"
#include "postgres/types/ask_again.h"

namespace pgflow::sources {
namespace {

using postgres::Connection;
using postgres::Result;
using schemas::PublishedPart;
using schemas::PublishedParts;

// The list as the user wrote it: what pg_get_publication_tables says of all columns is newer than
// what the same statement sees of the catalog, while somebody alters the table.
constexpr const char* kPartsQuery =
    "SELECT c.oid, c.relkind = 'p', coalesce(pg_get_expr(t.qual, t.relid), ''), "
    "coalesce(array_to_string(CASE WHEN r.prattrs IS NOT NULL THEN r.prattrs::int2[] {1} END, "
    "' '), '') FROM pg_publication p, pg_get_publication_tables(p.pubname) t "
    "JOIN pg_class c ON c.oid = t.relid "
    "LEFT JOIN pg_publication_rel r ON r.prrelid = t.relid AND r.prpubid = "
    "(SELECT oid FROM pg_publication WHERE pubname = {0}) WHERE p.pubname = {0}";
// publish_generated_columns (18): then all columns are listed, with the stored ones.
constexpr const char* kGeneratedListed =
    "WHEN p.pubgencols = 's' AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND "
    "a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = 's') THEN t.attrs::int2[]";
constexpr const char* kPartsQueryBefore15 =
    "SELECT c.oid, c.relkind = 'p', '', '' FROM pg_get_publication_tables({0}) t "
    "JOIN pg_class c ON c.oid = t.relid";

std::vector<int16_t> ParseNumbers(const std::string& text) {
  std::vector<int16_t> numbers;
  std::istringstream in(text);
  for (int16_t number = 0; in >> number;) numbers.push_back(number);
  return numbers;
}

}  // namespace

absl::StatusOr<Result> AskPublication(Connection& connection, const std::string& sql,
                                      std::stop_token stop) {
  return postgres::AskAgain([&] { return connection.Execute(sql, stop); });
}

absl::StatusOr<PublishedParts> ReadPublishedParts(Connection& connection,
                                                  const std::string& publication,
                                                  std::stop_token stop) {
  const std::string name = connection.QuoteLiteral(publication);
  const int version = connection.server_version();
  PGFLOW_ASSIGN_OR_RETURN(
      const Result in_parts,
      connection.Execute(
          fmt::format("SELECT p.pubviaroot{}{} FROM pg_publication p WHERE pubname = {}",
                      version >= 150000
                          ? " OR EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid "
                            "AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL))"
                          : "",
                      version >= 180000 ? " OR p.pubgencols = 's'" : "", name),
          stop));
  PublishedParts parts;
  if (in_parts.row_count() == 0 || !in_parts.boolean(0, 0)) return parts;
  const char* query = version >= 150000 ? kPartsQuery : kPartsQueryBefore15;
  const char* generated = version >= 180000 ? kGeneratedListed : "";
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      AskPublication(connection, fmt::format(fmt::runtime(query), name, generated), stop));
  for (int row = 0; row < rows.row_count(); ++row) {
    PublishedPart part{.columns = ParseNumbers(rows.text(row, 3)),
                       .row_filter = rows.text(row, 2),
                       .whole_tree = rows.boolean(row, 1)};
    if (part.columns.empty() && part.row_filter.empty() && !part.whole_tree) continue;
    parts.emplace(static_cast<postgres::Oid>(rows.integer(row, 0)), std::move(part));
  }
  return parts;
}

absl::Status RefuseDdlOfParts(const PublishedParts& parts, const std::string& publication) {
  if (parts.empty()) return absl::OkStatus();
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "publication {} has row filters, column lists or partitions under their root's name, which "
      "cannot be combined with replication.ddl: true: set ddl: false, or let pgflow make its own "
      "publication",
      publication);
}

}  // namespace pgflow::sources
