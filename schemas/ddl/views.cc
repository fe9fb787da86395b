#include <fmt/format.h>

#include "schemas/ddl/object_state.h"

namespace pgflow::schemas {
namespace {

// pg_get_viewdef ends with a semicolon.
std::string Definition(const Json& view) {
  std::string text = TextOf(view, "definition");
  while (!text.empty() && (text.back() == ';' || text.back() == '\n')) text.pop_back();
  return text;
}

std::string CreateSql(const Json& view, bool replace) {
  const bool materialized = TextOf(view, "object") == "materialized view";
  const std::string options = OptionList(ListOf(view, "options"));
  std::string sql = fmt::format("CREATE {}{} {}", replace ? "OR REPLACE " : "",
                                materialized ? "MATERIALIZED VIEW" : "VIEW", QualifiedName(view));
  if (!options.empty()) sql += fmt::format(" WITH ({})", options);
  sql += " AS " + Definition(view);
  if (materialized && !FlagOf(view, "populated")) sql += " WITH NO DATA";
  return sql;
}

void RenameColumns(const ObjectChange& change, const std::string& kind, ScriptWriter& out) {
  const Json& before = ListOf(change.before, "columns");
  const Json& after = ListOf(change.after, "columns");
  for (size_t i = 0; i < std::min(before.size(), after.size()); ++i) {
    const std::string was = TextOf(before[i], "name");
    const std::string now = TextOf(after[i], "name");
    if (was == now) continue;
    out.Add(fmt::format("ALTER {} {} RENAME COLUMN {} TO {}", kind, QualifiedName(change.after),
                        QuoteIdentifier(was), QuoteIdentifier(now)));
  }
}

// Of columns, for rows that are inserted through the view.
void WriteDefaults(const ObjectChange& change, ScriptWriter& out) {
  for (const Json& column : ListOf(change.after, "columns")) {
    const Json* was = FindByNumber(ListOf(change.before, "columns"), column);
    const std::string fallback = TextOf(column, "default");
    if (fallback == (was == nullptr ? std::string() : TextOf(*was, "default"))) continue;
    out.Add(fmt::format("ALTER VIEW {} ALTER COLUMN {} {}", QualifiedName(change.after),
                        QuoteIdentifier(TextOf(column, "name")),
                        fallback.empty() ? "DROP DEFAULT" : "SET DEFAULT " + fallback));
  }
}

}  // namespace

void WriteView(const ObjectChange& change, ScriptWriter& out) {
  const bool materialized = TextOf(change.any(), "object") == "materialized view";
  const std::string kind = materialized ? "MATERIALIZED VIEW" : "VIEW";
  if (WriteDrop(change, kind, QualifiedName(change.before), out)) return;
  const std::string name = QualifiedName(change.after);
  if (TextOf(change.before, "object") == "table") {
    // A rule has made an empty table a view.
    out.Add("DROP TABLE IF EXISTS " + QualifiedName(change.before));
    const Json none;
    const ObjectChange anew{.before = none,
                            .after = change.after,
                            .replaced = change.replaced,
                            .kept_by_heirs = change.kept_by_heirs,
                            .not_null_kept_by_heirs = change.not_null_kept_by_heirs,
                            .tag = change.tag};
    return WriteView(anew, out);
  }
  if (change.before.is_null()) {
    out.Add(CreateSql(change.after, false), RelationExists(name));
  } else {
    WriteRename(change, kind, out);
    DropRelationParts(change, out);
    RenameColumns(change, kind, out);
    const bool redefined = Differs(change.before, change.after, "definition") ||
                           Differs(change.before, change.after, "options");
    if (!materialized && redefined) out.Add(CreateSql(change.after, true));
    if (materialized && change.tag == "REFRESH MATERIALIZED VIEW") {
      out.Add(fmt::format("REFRESH MATERIALIZED VIEW {}{}", name,
                          FlagOf(change.after, "populated") ? "" : " WITH NO DATA"));
    }
  }
  AddRelationParts(change, out);
  if (!materialized) WriteDefaults(change, out);
  WriteColumnDetails(change, out);
  WriteRights(change, kind + " " + name, out);
  WriteColumnGrants(change, out);
}

}  // namespace pgflow::schemas
