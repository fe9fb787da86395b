#include "sources/postgres/published_parts.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>

#include "base/status.h"
#include "postgres/types/ask_again.h"
#include "sources/postgres/published_tables.h"

namespace pgflow::sources {
namespace {

using postgres::Connection;
using postgres::Result;
using schemas::PublishedPart;
using schemas::PublishedParts;

// What the user wrote of single tables.
constexpr const char* kPartsQuery =
    "SELECT r.prrelid, coalesce(pg_get_expr(r.prqual, r.prrelid), ''), "
    "coalesce(array_to_string(r.prattrs::int2[], ' '), '') FROM pg_publication_rel r "
    "JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = {} "
    "AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL)";
// publish_generated_columns (18): all columns, with the stored ones, of tables that have such.
constexpr const char* kGeneratedQuery =
    "SELECT a.attrelid, '', string_agg(a.attnum::text, ' ' ORDER BY a.attnum) FROM pg_attribute a "
    "WHERE EXISTS (SELECT FROM pg_publication WHERE pubname = {} AND pubgencols = 's') "
    "AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated IN ('', 's') "
    "GROUP BY a.attrelid HAVING bool_or(a.attgenerated = 's')";

std::vector<int16_t> ParseNumbers(const std::string& text) {
  std::vector<int16_t> numbers;
  std::istringstream in(text);
  for (int16_t number = 0; in >> number;) numbers.push_back(number);
  return numbers;
}

bool IsPublishedWithSchema(const CatalogRelation& relation) {
  return std::ranges::any_of(relation.paths,
                             [](const std::string& path) { return path.starts_with('n'); });
}

}  // namespace

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
  PGFLOW_ASSIGN_OR_RETURN(const PublicationContent content,
                          ReadPublicationContent(connection, publication, stop));
  std::map<postgres::Oid, const CatalogRelation*> listed;
  for (const CatalogRelation& relation : content.relations) {
    if (!relation.listed) continue;
    listed.emplace(relation.oid, &relation);
    if (relation.partitioned) parts[relation.oid].whole_tree = true;
  }
  // The columns that the user listed come last: they count.
  std::vector<const char*> queries;
  if (version >= 180000) queries.push_back(kGeneratedQuery);
  if (version >= 150000) queries.push_back(kPartsQuery);
  for (const char* query : queries) {
    PGFLOW_ASSIGN_OR_RETURN(const Result rows, postgres::AskAgain([&] {
                              return connection.Execute(fmt::format(fmt::runtime(query), name),
                                                        stop);
                            }));
    for (int row = 0; row < rows.row_count(); ++row) {
      const auto table = listed.find(static_cast<postgres::Oid>(rows.integer(row, 0)));
      if (table == listed.end()) continue;
      std::string filter = rows.text(row, 1);
      std::vector<int16_t> columns = ParseNumbers(rows.text(row, 2));
      // With its schema, too, all of its rows are published.
      if (IsPublishedWithSchema(*table->second)) filter.clear();
      if (filter.empty() && columns.empty()) continue;
      PublishedPart& part = parts[table->first];
      if (!filter.empty()) part.row_filter = std::move(filter);
      if (!columns.empty()) part.columns = std::move(columns);
    }
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
