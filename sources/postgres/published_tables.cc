#include "sources/postgres/published_tables.h"

#include <absl/strings/str_split.h>

#include "base/status.h"

namespace pgflow::sources {
namespace {

using postgres::Connection;
using postgres::Result;

// {0} the publication's name, {1} members by schema, {2} a row filter and column list.
//
// "newest" is the age of the latest row on a path. A table's system columns are never changed, so
// their rows are as old as the table.
constexpr const char* kContentQuery =
    "WITH RECURSIVE pub AS "
    "(SELECT oid, puballtables, pubviaroot FROM pg_publication WHERE pubname = {0}), "
    "member(relid, path, newest) AS ("
    "SELECT r.prrelid, 'r' || r.oid, age(r.xmin) FROM pg_publication_rel r "
    "JOIN pub ON r.prpubid = pub.oid {1} "
    "UNION ALL SELECT c.oid, 'a' || c.oid, 2147483647 FROM pub "
    "JOIN pg_class c ON pub.puballtables), "
    "tree AS (SELECT relid, path, newest, false AS below FROM member "
    "UNION ALL SELECT i.inhrelid, t.path || 'i' || i.xmin, least(t.newest, age(i.xmin)), true "
    "FROM tree t JOIN pg_inherits i ON i.inhparent = t.relid "
    "JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition), "
    "published AS (SELECT t.relid, string_agg(t.path, ',') AS paths, bool_or(t.below) AS below, "
    "max(t.newest) AS newest, (SELECT age(a.xmin) FROM pg_attribute a WHERE a.attrelid = t.relid "
    "AND a.attname = 'tableoid') AS age FROM tree t GROUP BY t.relid) "
    "SELECT c.oid, n.nspname, c.relname, c.relkind = 'p', c.relispartition, p.paths, "
    "p.relid IS NOT NULL AND CASE WHEN (SELECT pubviaroot FROM pub) THEN NOT p.below "
    "ELSE c.relkind = 'r' END, p.newest >= p.age, {2}, "
    // Numbers of transactions have 32 bits in a row.
    "greatest(0, pg_snapshot_xmin(pg_current_snapshot())::text::bigint + "
    "age(pg_snapshot_xmin(pg_current_snapshot())::xid) - p.age) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "LEFT JOIN published p ON p.relid = c.oid "
    // 16384: FirstNormalObjectId; what initdb made is in no publication.
    "WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.oid >= 16384";
constexpr const char* kBySchema =
    "UNION ALL SELECT c.oid, 'n' || s.oid || '-' || c.oid, age(s.xmin) "
    "FROM pg_publication_namespace s "
    "JOIN pub ON s.pnpubid = pub.oid JOIN pg_class c ON c.relnamespace = s.pnnspid";
// Where in its statement an expression stood says nothing of it.
constexpr const char* kPartOfTable =
    "(SELECT coalesce(regexp_replace(r.prqual::text, ':location -?[0-9]+', '', 'g'), '') || '/' || "
    "coalesce(r.prattrs::text, '') FROM pg_publication_rel r JOIN pub ON r.prpubid = pub.oid "
    "WHERE r.prrelid = c.oid)";

}  // namespace

absl::StatusOr<PublicationContent> ReadPublicationContent(Connection& connection,
                                                          const std::string& publication,
                                                          const std::stop_token& stop) {
  const std::string name = connection.QuoteLiteral(publication);
  PublicationContent content;
  PGFLOW_ASSIGN_OR_RETURN(
      const Result options,
      connection.Execute(
          fmt::format("SELECT oid, xmin, pubowner, "
                      "coalesce(obj_description(oid, 'pg_publication') = '{}', false), "
                      "concat_ws(', ', CASE WHEN NOT pubinsert THEN 'insert' END, "
                      "CASE WHEN NOT pubupdate THEN 'update' END, "
                      "CASE WHEN NOT pubdelete THEN 'delete' END, "
                      "CASE WHEN NOT pubtruncate THEN 'truncate' END), pubupdate OR pubdelete, "
                      "pg_snapshot_xmin(pg_current_snapshot())::text, puballtables "
                      "FROM pg_publication WHERE pubname = {}",
                      kPublicationMark, name),
          stop));
  if (options.row_count() == 1) {
    content.oid = static_cast<postgres::Oid>(options.integer(0, 0));
    content.version = options.text(0, 1);
    content.owner = options.text(0, 2);
    content.ours = options.boolean(0, 3);
    content.kinds_left_out = options.text(0, 4);
    content.needs_identities = options.boolean(0, 5);
    content.horizon = static_cast<uint64_t>(options.integer(0, 6));
    content.all_tables = options.boolean(0, 7);
  }
  const bool since_15 = connection.server_version() >= 150000;
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(fmt::format(fmt::runtime(kContentQuery), name, since_15 ? kBySchema : "",
                                     since_15 ? kPartOfTable : "''"),
                         stop));
  content.relations.reserve(static_cast<size_t>(rows.row_count()));
  for (int row = 0; row < rows.row_count(); ++row) {
    CatalogRelation relation{.oid = static_cast<postgres::Oid>(rows.integer(row, 0)),
                             .name = {rows.text(row, 1), rows.text(row, 2)},
                             .partitioned = rows.boolean(row, 3),
                             .partition = rows.boolean(row, 4),
                             .part = rows.text(row, 8),
                             .listed = rows.boolean(row, 6),
                             .since_creation = rows.boolean(row, 7),
                             .made = static_cast<uint64_t>(rows.integer(row, 9))};
    if (!rows.is_null(row, 5)) {
      const std::vector<std::string> paths = absl::StrSplit(rows.text(row, 5), ',');
      relation.paths.insert(paths.begin(), paths.end());
    }
    content.relations.push_back(std::move(relation));
  }
  return content;
}

}  // namespace pgflow::sources
