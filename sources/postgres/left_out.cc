#include "sources/postgres/left_out.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/ranges.h>

#include "base/status.h"

namespace pgflow::sources {
namespace {

using postgres::Connection;
using postgres::Oid;
using postgres::Result;
using schemas::TableName;

// What the role lacks of one table.
struct Rights {
  std::string owner;
  bool owned = true;
  bool schema_usable = true;
  bool readable = true;
  bool rows_hidden = false;
};

struct Role {
  std::string name;
  bool owns_publication = false;
  std::map<TableName, Rights> lacks;  // Those of which it lacks something.

  Rights On(const TableName& table) const {
    const auto found = lacks.find(table);
    return found == lacks.end() ? Rights() : found->second;
  }
};

absl::StatusOr<Role> ReadRole(Connection& connection, const std::string& publication,
                              const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const Result self,
      connection.Execute(
          fmt::format("SELECT current_user, coalesce((SELECT pg_has_role(pubowner, 'USAGE') FROM "
                      "pg_publication WHERE pubname = {}), false)",
                      connection.QuoteLiteral(publication)),
          stop));
  Role role{.name = self.text(0, 0), .owns_publication = self.boolean(0, 1), .lacks = {}};
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(
          "SELECT * FROM (SELECT n.nspname, c.relname, pg_get_userbyid(c.relowner), "
          "pg_has_role(c.relowner, 'USAGE') AS owned, "
          "has_schema_privilege(n.oid, 'USAGE') IS NOT FALSE AS usable, "
          "has_table_privilege(c.oid, 'SELECT') IS NOT FALSE AS readable, "
          "row_security_active(c.oid) AS hidden "
          "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
          "WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384 AND n.nspname !~ '^pg_') t "
          "WHERE NOT owned OR NOT usable OR NOT readable OR hidden",
          stop));
  for (int row = 0; row < rows.row_count(); ++row) {
    role.lacks.emplace(TableName{rows.text(row, 0), rows.text(row, 1)},
                       Rights{.owner = rows.text(row, 2),
                              .owned = rows.boolean(row, 3),
                              .schema_usable = rows.boolean(row, 4),
                              .readable = rows.boolean(row, 5),
                              .rows_hidden = rows.boolean(row, 6)});
  }
  return role;
}

// What the stream carries, with its rows copied: what is known, or has never been outside.
std::set<Oid> CarriedTables(const Reach& reach) {
  const KnownSource& known = *reach.known;
  std::set<Oid> carried;
  for (const CatalogRelation& table : known.publication.relations) carried.insert(table.oid);
  for (const CatalogRelation& table : reach.content->relations) {
    if (table.listed && (!known.knows_tables() || table.since_creation)) carried.insert(table.oid);
  }
  return carried;
}

class Sieve {
 public:
  Sieve(const Reach& reach, const Role& role, schemas::Catalog& catalog)
      : reach_(reach), role_(role), catalog_(catalog), carried_(CarriedTables(reach)) {
    for (const schemas::TableDefinition& table : catalog.definition.tables) {
      if (table.parent.has_value()) parents_.emplace(table.table, *table.parent);
    }
    for (const CatalogRelation& relation : reach.content->relations) {
      if (relation.listed) listed_.insert(relation.oid);
    }
  }

  // `roots`: what is to be published and is not.
  std::vector<LeftOutTable> Take(const std::vector<TableName>& roots) {
    for (const TableName& root : roots) TakeRoot(root);
    std::map<Oid, TableName> names;
    for (const schemas::CatalogTable& table : catalog_.tables) {
      names.emplace(table.schema->oid, table.schema->table);
    }
    for (schemas::CatalogProblem& problem : catalog_.problems) {
      const auto table = names.find(problem.unreadable);
      if (problem.unreadable == 0 || table == names.end()) continue;
      problem.fatal = false;
      if (carried_.contains(problem.unreadable)) continue;
      // The stream has its changes, which are left out until its rows can be read.
      const std::set<TableName> all = {table->second};
      Drop(table->second, all, MayNotRead(role_.On(table->second)), Grants(all));
    }
    std::erase_if(catalog_.problems, [&](const schemas::CatalogProblem& problem) {
      return dropped_.contains(problem.unreadable) || dropped_.contains(problem.unpublishable);
    });
    return std::move(left_out_);
  }

 private:
  TableName TopOf(TableName table) const {
    for (auto parent = parents_.find(table); parent != parents_.end();
         parent = parents_.find(table)) {
      table = parent->second;
    }
    return table;
  }

  void TakeRoot(const TableName& root) {
    std::set<TableName> leaves;
    bool unreadable = false;
    for (const schemas::CatalogTable& table : catalog_.tables) {
      if (TopOf(table.schema->table) != root || listed_.contains(table.schema->oid)) continue;
      leaves.insert(table.schema->table);
      unreadable |= !table.readable || table.rows_hidden;
    }
    const Rights rights = role_.On(root);
    std::vector<std::string> why;
    bool by_superuser = false;
    if (!reach_.content->ours) {
      why.push_back(
          fmt::format("publication {} lacks it, which pgflow did not make and leaves as "
                      "it is",
                      reach_.publication));
    } else if (reach_.standby) {
      why.emplace_back("a standby cannot add it to the publication");
    } else if (!role_.owns_publication || !rights.owned) {
      by_superuser = true;
      why.push_back(
          role_.owns_publication
              ? fmt::format("role {} does not own it ({} does), so it may not add it to "
                            "publication {}",
                            role_.name, rights.owner, reach_.publication)
              : fmt::format("role {} does not own publication {}", role_.name, reach_.publication));
    }
    const bool publishable = why.empty();
    if (publishable && !unreadable) return;
    if (leaves.empty()) {  // A partitioned table without partitions, or all of them are published.
      std::erase(catalog_.published, root);
      return;
    }
    std::vector<std::string> commands;
    if (unreadable) {
      why.push_back(MayNotRead(rights));
      commands.push_back(Grants(leaves));
    }
    if (!publishable) {
      commands.push_back(fmt::format("ALTER PUBLICATION {} ADD TABLE {}",
                                     schemas::QuoteIdentifier(reach_.publication),
                                     schemas::QuoteTable(root)));
    }
    const std::string sql = fmt::format("{}", fmt::join(commands, "; "));
    Drop(root, leaves, fmt::format("{}", fmt::join(why, "; ")),
         (by_superuser     ? "let a superuser run: "
          : reach_.standby ? "on the primary: "
                           : "run: ") +
             sql);
  }

  std::string MayNotRead(const Rights& rights) const {
    const bool hidden = rights.readable && rights.schema_usable && rights.rows_hidden;
    return hidden ? fmt::format("row-level security hides rows of it from role {}", role_.name)
                  : fmt::format("role {} may not read it", role_.name);
  }

  std::string Grants(const std::set<TableName>& tables) const {
    const std::string role = schemas::QuoteIdentifier(role_.name);
    std::set<std::string> schemas;
    std::vector<std::string> names;
    bool hidden = false;
    for (const TableName& table : tables) {
      const Rights rights = role_.On(table);
      if (!rights.schema_usable) schemas.insert(schemas::QuoteIdentifier(table.schema));
      if (!rights.readable) names.push_back(schemas::QuoteTable(table));
      hidden |= rights.rows_hidden;
    }
    std::vector<std::string> commands;
    for (const std::string& schema : schemas) {
      commands.push_back(fmt::format("GRANT USAGE ON SCHEMA {} TO {}", schema, role));
    }
    if (!names.empty()) {
      commands.push_back(fmt::format("GRANT SELECT ON {} TO {}", fmt::join(names, ", "), role));
    }
    if (hidden) commands.push_back(fmt::format("ALTER ROLE {} BYPASSRLS", role));
    return fmt::format("{}", fmt::join(commands, "; "));
  }

  void Drop(const TableName& name, const std::set<TableName>& tables, std::string why,
            std::string remedy) {
    LeftOutTable left_out{
        .table = name, .oids = {}, .why = std::move(why), .remedy = std::move(remedy)};
    std::erase_if(catalog_.tables, [&](const schemas::CatalogTable& table) {
      if (!tables.contains(table.schema->table)) return false;
      left_out.oids.push_back(table.schema->oid);
      dropped_.insert(table.schema->oid);
      return true;
    });
    std::erase(catalog_.published, name);
    left_out_.push_back(std::move(left_out));
  }

  const Reach& reach_;
  const Role& role_;
  schemas::Catalog& catalog_;
  const std::set<Oid> carried_;
  std::map<TableName, TableName> parents_;
  std::set<Oid> listed_;
  std::set<Oid> dropped_;
  std::vector<LeftOutTable> left_out_;
};

}  // namespace

absl::StatusOr<std::vector<LeftOutTable>> LeaveOut(Connection& connection, const Reach& reach,
                                                   schemas::Catalog& catalog,
                                                   const std::stop_token& stop) {
  std::set<TableName> published;
  for (const CatalogRelation& relation : reach.content->relations) {
    if (!relation.paths.empty()) published.insert(relation.name);
  }
  std::vector<TableName> roots;
  std::ranges::copy_if(catalog.published, std::back_inserter(roots),
                       [&](const TableName& table) { return !published.contains(table); });
  const bool all_readable = std::ranges::none_of(
      catalog.problems, [](const auto& problem) { return problem.unreadable != 0; });
  if (roots.empty() && all_readable) return std::vector<LeftOutTable>();
  PGFLOW_ASSIGN_OR_RETURN(const Role role, ReadRole(connection, reach.publication, stop));
  return Sieve(reach, role, catalog).Take(roots);
}

}  // namespace pgflow::sources
