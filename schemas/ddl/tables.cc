#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "schemas/ddl/object_state.h"

namespace pgflow::schemas {
namespace {

bool IsPartition(const Json& table) {
  return table.contains("partition_bound") && !ListOf(table, "parents").empty();
}

bool IsForeign(const Json& table) { return TextOf(table, "object") == "foreign table"; }

std::string KindOf(const Json& table) { return IsForeign(table) ? "FOREIGN TABLE" : "TABLE"; }

// The NOT NULL that a new heir or partition says itself, of a column that it inherits.
std::string InheritedColumnSql(const Json& column, Dialect dialect) {
  if (dialect == Dialect::kBefore18 || !FlagOf(column, "not_null_local")) return "";
  if (IsNotNullNotValid(column)) return "";
  const std::string definition = TextOf(column, "not_null_definition");
  const std::string name = QuoteIdentifier(TextOf(column, "name"));
  return fmt::format("CONSTRAINT {} {}", QuoteIdentifier(TextOf(column, "not_null_name")),
                     definition.empty() ? "NOT NULL " + name : definition);
}

// What stands between the brackets.
std::vector<std::string> ElementsOf(const Json& table, Dialect dialect) {
  const bool heir = !ListOf(table, "parents").empty();
  std::vector<std::string> elements;
  for (const Json& column : ListOf(table, "columns")) {
    const std::string name = QuoteIdentifier(TextOf(column, "name"));
    std::string element;
    if (IsPartition(table)) {
      element = FlagOf(column, "overrides") ? name + ColumnOptionsSql(column, dialect)
                                            : InheritedColumnSql(column, dialect);
    } else if (table.contains("of_type")) {
      const std::string own = ColumnOptionsSql(column, dialect);
      if (!own.empty()) element = name + " WITH OPTIONS" + own;
    } else if (FlagOf(column, "local") || !heir) {
      element = ColumnSql(column, dialect);
    } else {
      element = InheritedColumnSql(column, dialect);
    }
    if (!element.empty()) elements.push_back(std::move(element));
  }
  return elements;
}

std::string CreateSql(const Json& table, Dialect dialect) {
  std::string sql =
      fmt::format("CREATE {}{} {}", TextOf(table, "persistence") == "u" ? "UNLOGGED " : "",
                  KindOf(table), QualifiedName(table));
  const Json& parents = ListOf(table, "parents");
  const std::vector<std::string> elements = ElementsOf(table, dialect);
  const std::string listed =
      elements.empty() ? "" : fmt::format(" ({})", fmt::join(elements, ", "));
  if (IsPartition(table)) {
    sql += fmt::format(" PARTITION OF {}{} {}", QualifiedPair(parents.front()), listed,
                       TextOf(table, "partition_bound"));
  } else if (table.contains("of_type")) {
    sql += " OF " + TextOf(table, "of_type") + listed;
  } else {
    sql += listed.empty() ? " ()" : listed;
    std::vector<std::string> names;
    for (const Json& parent : parents) names.push_back(QualifiedPair(parent));
    if (!names.empty()) sql += fmt::format(" INHERITS ({})", fmt::join(names, ", "));
  }
  if (FlagOf(table, "partitioned")) sql += " PARTITION BY " + TextOf(table, "partition_key");
  const std::string options = OptionList(ListOf(table, "options"));
  if (!options.empty()) sql += fmt::format(" WITH ({})", options);
  if (IsForeign(table)) {
    sql += " SERVER " + QuoteIdentifier(TextOf(table, "server")) + ForeignOptionsSql(table);
  }
  return sql;
}

std::string LossesBefore18(const Json& table) {
  std::vector<std::string> losses;
  for (const Json& column : ListOf(table, "columns")) {
    std::string loss = LossBefore18(column);
    if (!loss.empty()) losses.push_back(std::move(loss));
  }
  return fmt::format("{}", fmt::join(losses, "; "));
}

// What a column of a new partition or heir has of its own.
void WriteOwnDefaults(const Json& table, ScriptWriter& out) {
  for (const Json& column : ListOf(table, "columns")) {
    if (ListOf(table, "parents").empty() || FlagOf(column, "local")) continue;
    const std::string alter =
        fmt::format("ALTER TABLE ONLY {} ALTER COLUMN {} ", QualifiedName(table),
                    QuoteIdentifier(TextOf(column, "name")));
    // Of servers before version 18 the catalog does not say whose it is.
    if (FlagOf(column, "not_null") && TextOf(column, "not_null_definition").empty()) {
      out.Add(alter + "SET NOT NULL", ColumnIsNotNull(QualifiedName(table), column));
    }
    if (column.contains("generated") || column.contains("identity")) continue;
    const std::string fallback = TextOf(column, "default");
    out.Add(alter + (fallback.empty() ? "DROP DEFAULT" : "SET DEFAULT " + fallback));
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
            PartitionExists(table));
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

// Which index CLUSTER goes by.
void WriteClustering(const ObjectChange& change, ScriptWriter& out) {
  if (!Differs(change.before, change.after, "clustered_on")) return;
  const std::string index = TextOf(change.after, "clustered_on");
  const std::string alter = "ALTER TABLE " + QualifiedName(change.after);
  out.Add(index.empty() ? alter + " SET WITHOUT CLUSTER"
                        : fmt::format("{} CLUSTER ON {}", alter, QuoteIdentifier(index)));
}

void WriteRowType(const ObjectChange& change, ScriptWriter& out) {
  const std::string type = TextOf(change.after, "of_type");
  if (TextOf(change.before, "of_type_oid") == TextOf(change.after, "of_type_oid")) return;
  const std::string alter = "ALTER TABLE " + QualifiedName(change.after);
  out.Add(type.empty() ? alter + " NOT OF" : fmt::format("{} OF {}", alter, type));
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

// An unlogged table is new to the publication when it becomes a logged one, and not to the target.
void WriteThatItIsLogged(const ObjectChange& change, ScriptWriter& out) {
  if (change.tag != "ALTER TABLE" || TextOf(change.after, "persistence") != "p") return;
  if (IsForeign(change.after) || FlagOf(change.after, "partitioned")) return;
  const std::string table = QualifiedName(change.after);
  out.Add(fmt::format("ALTER TABLE {} SET LOGGED", table),
          fmt::format("SELECT relpersistence <> 'u' FROM pg_catalog.pg_class WHERE oid = "
                      "to_regclass({})",
                      QuoteLiteral(table)));
}

// Behind the rows, when there are some.
void Finish(const ObjectChange& change, ScriptWriter& out) {
  AddConstraints(change, out);
  AddRelationParts(change, out);
  if (!IsForeign(change.after)) {
    WriteIdentity(change, out);
    WriteClustering(change, out);
    WriteSecurity(change, out);
  }
  WriteRights(change, KindOf(change.after) + " " + QualifiedName(change.after), out);
  WriteColumnGrants(change, out);
}

}  // namespace

void WriteTable(const ObjectChange& change, ScriptWriter& out) {
  if (WriteDrop(change, KindOf(change.any()), QualifiedName(change.any()), out)) return;
  if (change.before.is_null()) {
    out.AddByVersion(
        CreateSql(change.after, Dialect::kNewest),
        {.sql = CreateSql(change.after, Dialect::kBefore18), .loss = LossesBefore18(change.after)},
        RelationExists(QualifiedName(change.after)));
    WriteThatItIsLogged(change, out);
    WriteOwnDefaults(change.after, out);
    WriteColumnDetails(change, out);
    if (IsForeign(change.after)) WriteForeignColumnOptions(change, out);
    Finish(change, out);
    return;
  }
  if (change.phase == DdlPhase::kAfterRows) {
    FinishColumns(change, out);
    Finish(change, out);
    return;
  }
  WriteRename(change, KindOf(change.after), out);
  for (const Json& leaf : change.replaced) out.DeleteRows(QualifiedPair(leaf));
  if (TextOf(change.before, "persistence") != TextOf(change.after, "persistence")) {
    out.Add(fmt::format("ALTER TABLE {} SET {}", QualifiedName(change.after),
                        TextOf(change.after, "persistence") == "u" ? "UNLOGGED" : "LOGGED"));
  }
  DropRelationParts(change, out);
  DropConstraints(change, out);
  WriteColumns(change, out);
  WriteOptions(change.before, change.after, "TABLE " + QualifiedName(change.after), out);
  WriteParents(change, out);
  WriteRowType(change, out);
  if (IsForeign(change.after)) {
    WriteForeignOptions(change, "FOREIGN TABLE " + QualifiedName(change.after), out);
    WriteForeignColumnOptions(change, out);
  }
  if (change.phase == DdlPhase::kWhole) Finish(change, out);
}

}  // namespace pgflow::schemas
