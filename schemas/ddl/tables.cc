#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "schemas/ddl/object_state.h"

namespace pgflow::schemas {
namespace {

bool IsPartition(const Json& table) {
  return table.contains("partition_bound") && !ListOf(table, "parents").empty();
}

std::string CreateSql(const Json& table) {
  std::string sql =
      fmt::format("CREATE {}TABLE {}", TextOf(table, "persistence") == "u" ? "UNLOGGED " : "",
                  QualifiedName(table));
  const Json& parents = ListOf(table, "parents");
  if (IsPartition(table)) {
    sql += fmt::format(" PARTITION OF {} {}", QualifiedPair(parents.front()),
                       TextOf(table, "partition_bound"));
  } else {
    std::vector<std::string> columns;
    for (const Json& column : ListOf(table, "columns")) {
      if (FlagOf(column, "local") || parents.empty()) columns.push_back(ColumnSql(column));
    }
    sql += fmt::format(" ({})", fmt::join(columns, ", "));
    std::vector<std::string> names;
    for (const Json& parent : parents) names.push_back(QualifiedPair(parent));
    if (!names.empty()) sql += fmt::format(" INHERITS ({})", fmt::join(names, ", "));
  }
  if (FlagOf(table, "partitioned")) sql += " PARTITION BY " + TextOf(table, "partition_key");
  const std::string options = OptionList(ListOf(table, "options"));
  if (!options.empty()) sql += fmt::format(" WITH ({})", options);
  return sql;
}

// What a column of a new partition or heir has of its own.
void WriteOwnDefaults(const Json& table, ScriptWriter& out) {
  for (const Json& column : ListOf(table, "columns")) {
    if (column.contains("generated") || column.contains("identity")) continue;
    if (ListOf(table, "parents").empty() || FlagOf(column, "local")) continue;
    const std::string fallback = TextOf(column, "default");
    out.Add(fmt::format("ALTER TABLE ONLY {} ALTER COLUMN {} {}", QualifiedName(table),
                        QuoteIdentifier(TextOf(column, "name")),
                        fallback.empty() ? "DROP DEFAULT" : "SET DEFAULT " + fallback));
  }
}

// By oid, which stands behind the name: a parent may have been renamed.
bool SameParents(const Json& a, const Json& b) {
  const auto oid = [](const Json& parent) { return parent.at(2).get<uint64_t>(); };
  return std::ranges::equal(a, b, {}, oid, oid);
}

bool HasParent(const Json& parents, const Json& parent) {
  return std::ranges::any_of(parents, [&](const Json& each) { return each.at(2) == parent.at(2); });
}

void WriteParents(const ObjectChange& change, ScriptWriter& out) {
  const bool was_partition = IsPartition(change.before);
  const bool is_partition = IsPartition(change.after);
  const Json& before = ListOf(change.before, "parents");
  const Json& after = ListOf(change.after, "parents");
  const std::string table = QualifiedName(change.after);
  const bool same_bound =
      change.before.contains("partition_bound") == change.after.contains("partition_bound");
  if (SameParents(before, after) && same_bound) return;
  if (was_partition) {
    out.Add(fmt::format("ALTER TABLE {} DETACH PARTITION {}", QualifiedPair(before.front()), table),
            fmt::format("SELECT NOT relispartition FROM pg_catalog.pg_class WHERE oid = "
                        "to_regclass({})",
                        QuoteLiteral(table)));
  }
  if (is_partition) {
    out.Add(fmt::format("ALTER TABLE {} ATTACH PARTITION {} {}", QualifiedPair(after.front()),
                        table, TextOf(change.after, "partition_bound")),
            fmt::format("SELECT relispartition FROM pg_catalog.pg_class WHERE oid = "
                        "to_regclass({})",
                        QuoteLiteral(table)));
  }
  if (was_partition || is_partition) return;
  for (const Json& parent : before) {
    if (HasParent(after, parent)) continue;
    out.Add(fmt::format("ALTER TABLE {} NO INHERIT {}", table, QualifiedPair(parent)));
  }
  for (const Json& parent : after) {
    if (HasParent(before, parent)) continue;
    out.Add(fmt::format("ALTER TABLE {} INHERIT {}", table, QualifiedPair(parent)));
  }
}

void WriteOptions(const ObjectChange& change, ScriptWriter& out) {
  if (!Differs(change.before, change.after, "options")) return;
  const std::string table = QualifiedName(change.after);
  const Json& after = ListOf(change.after, "options");
  std::vector<std::string> gone;
  for (const Json& option : ListOf(change.before, "options")) {
    const std::string text = option.get<std::string>();
    const std::string name = text.substr(0, text.find('='));
    bool kept = false;
    for (const Json& each : after) kept |= each.get<std::string>().starts_with(name + "=");
    if (!kept) gone.push_back(name);
  }
  if (!gone.empty()) {
    out.Add(fmt::format("ALTER TABLE {} RESET ({})", table, fmt::join(gone, ", ")));
  }
  if (!after.empty()) out.Add(fmt::format("ALTER TABLE {} SET ({})", table, OptionList(after)));
}

void WriteIdentity(const ObjectChange& change, ScriptWriter& out) {
  const std::string after = TextOf(change.after, "identity");
  const std::string index = TextOf(change.after, "identity_index");
  const std::string before = change.before.is_null() ? "d" : TextOf(change.before, "identity");
  const bool same_index =
      !change.before.is_null() && TextOf(change.before, "identity_index") == index;
  if (before == after && (after != "i" || same_index)) return;
  std::string what = "DEFAULT";
  if (after == "f") what = "FULL";
  if (after == "n") what = "NOTHING";
  if (after == "i") {
    if (index.empty()) return;  // Its index is gone.
    what = "USING INDEX " + QuoteIdentifier(index);
  }
  out.Add(fmt::format("ALTER TABLE {} REPLICA IDENTITY {}", QualifiedName(change.after), what));
}

void WriteSecurity(const ObjectChange& change, ScriptWriter& out) {
  const std::string alter = "ALTER TABLE " + QualifiedName(change.after) + " ";
  const Json& before = change.before;
  if (FlagOf(before, "row_security") != FlagOf(change.after, "row_security")) {
    out.Add(alter + (FlagOf(change.after, "row_security") ? "ENABLE ROW LEVEL SECURITY"
                                                          : "DISABLE ROW LEVEL SECURITY"));
  }
  if (FlagOf(before, "force_row_security") != FlagOf(change.after, "force_row_security")) {
    out.Add(alter + (FlagOf(change.after, "force_row_security") ? "FORCE ROW LEVEL SECURITY"
                                                                : "NO FORCE ROW LEVEL SECURITY"));
  }
}

void WriteColumnComments(const Json& table, ScriptWriter& out) {
  const std::string name = QualifiedName(table);
  for (const Json& column : ListOf(table, "columns")) {
    const std::string quoted = QuoteIdentifier(TextOf(column, "name"));
    WriteComment(Json::object(), column, fmt::format("COLUMN {}.{}", name, quoted), out);
  }
}

// Behind the table's own: REVOKE on a table takes away what was granted on its columns.
void WriteColumnGrants(const ObjectChange& change, ScriptWriter& out) {
  const bool anew = Differs(change.before, change.after, "grants") ||
                    Differs(change.before, change.after, "default_grants");
  const Json none;
  for (const Json& column : ListOf(change.after, "columns")) {
    const Json* was = FindByNumber(ListOf(change.before, "columns"), column);
    if (was == nullptr) was = &none;
    if (Differs(*was, column, "grants") || (anew && column.contains("grants"))) {
      WriteGrants(ListOf(*was, "grants"), ListOf(column, "grants"),
                  "TABLE " + QualifiedName(change.after),
                  fmt::format("({})", QuoteIdentifier(TextOf(column, "name"))), "", out);
    }
  }
}

// Behind the rows, when there are some.
void Finish(const ObjectChange& change, ScriptWriter& out) {
  AddConstraints(change, out);
  AddRelationParts(change, out);
  WriteIdentity(change, out);
  WriteSecurity(change, out);
  WriteRights(change, "TABLE " + QualifiedName(change.after), out);
  WriteColumnGrants(change, out);
}

}  // namespace

void WriteTable(const ObjectChange& change, ScriptWriter& out) {
  if (WriteDrop(change, "TABLE", QualifiedName(change.before), out)) return;
  if (change.before.is_null()) {
    out.Add(CreateSql(change.after), RelationExists(QualifiedName(change.after)));
    WriteOwnDefaults(change.after, out);
    WriteColumnComments(change.after, out);
    Finish(change, out);
    return;
  }
  if (change.phase == DdlPhase::kAfterRows) {
    FinishColumns(change, out);
    Finish(change, out);
    return;
  }
  WriteRename(change, "TABLE", out);
  for (const Json& leaf : change.replaced) out.DeleteRows(QualifiedPair(leaf));
  if (TextOf(change.before, "persistence") != TextOf(change.after, "persistence")) {
    out.Add(fmt::format("ALTER TABLE {} SET {}", QualifiedName(change.after),
                        TextOf(change.after, "persistence") == "u" ? "UNLOGGED" : "LOGGED"));
  }
  DropRelationParts(change, out);
  DropConstraints(change, out);
  WriteColumns(change, out);
  WriteOptions(change, out);
  WriteParents(change, out);
  if (change.phase == DdlPhase::kWhole) Finish(change, out);
}

}  // namespace pgflow::schemas
