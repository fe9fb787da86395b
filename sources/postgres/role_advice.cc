#include "sources/postgres/role_advice.h"

#include "base/status.h"
#include "schemas/table_schema.h"

namespace pgflow::sources {
namespace {

// As it is typed, when that can be known from here.
std::string InitCommand(const postgres::Connection& connection, const AdviceSubject& subject) {
  const PostgresSourceConfig& config = *subject.config;
  const bool plain = config.tables.include.empty() && config.tables.exclude.empty() &&
                     config.replication.slot.empty() && config.replication.publication.empty();
  if (!plain) return "`pgflow init` with these options, ddl: true and the url of a superuser";
  const std::string& name = connection.display_name();  // host:port/database as role
  return fmt::format("`pgflow init --postgres-url postgres://SUPERUSER@{}{} --handle-ddl=true`",
                     name.substr(0, name.rfind(" as ")),
                     subject.pipeline == "pgflow" ? "" : " --name " + subject.pipeline);
}

}  // namespace

absl::StatusOr<std::vector<std::string>> AdviseRole(postgres::Connection& connection,
                                                    const AdviceSubject& subject,
                                                    const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result row,
      connection.Execute("SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user",
                         stop));
  std::vector<std::string> lines;
  if (row.row_count() == 1 && row.boolean(0, 1)) return lines;
  const std::string name = row.row_count() == 1 ? row.text(0, 0) : "of the url";
  const std::string quoted = schemas::QuoteIdentifier(name);
  const bool ddl = subject.config->replication.ddl;
  lines.push_back(fmt::format(
      "role {} is no superuser and may not create event triggers. What it does: it copies and "
      "streams the tables that it owns{}",
      name,
      ddl ? "; those that are made later join by themselves, and columns that are added, dropped, "
            "renamed or retyped are replicated when the first row with them comes"
          : "; those that are made later join at the next start or with `pgflow refresh`, and with "
            "--handle-ddl=true (replication.ddl) by themselves"));
  lines.push_back(fmt::format(
      "tables of other owners: a superuser runs, for each, GRANT SELECT ON table TO {0}; ALTER "
      "PUBLICATION {1} ADD TABLE table; then it joins by itself",
      quoted, schemas::QuoteIdentifier(subject.publication)));
  lines.push_back(fmt::format(
      "all DDL, and every new table whoever makes it: let a superuser run once {}, then in SQL "
      "GRANT SELECT ON pgflow.capture_secret TO {}",
      InitCommand(connection, subject), quoted));
  return lines;
}

}  // namespace pgflow::sources
