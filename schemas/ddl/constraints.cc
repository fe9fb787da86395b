#include <algorithm>

#include <fmt/format.h>

#include "schemas/ddl/object_state.h"

namespace pgflow::schemas {
namespace {

bool IsForeignKey(const Json& constraint) { return TextOf(constraint, "type") == "f"; }

// " DEFERRABLE INITIALLY DEFERRED" of a definition: what ALTER CONSTRAINT can change. The rest of a
// constraint never changes; its text does, when something in it is renamed.
std::string DeferSql(const Json& constraint) {
  const std::string definition = TextOf(constraint, "definition");
  const bool deferrable = definition.find(" DEFERRABLE") != std::string::npos &&
                          definition.find(" NOT DEFERRABLE") == std::string::npos;
  if (!deferrable) return "NOT DEFERRABLE";
  const bool deferred = definition.find(" INITIALLY DEFERRED") != std::string::npos;
  return deferred ? "DEFERRABLE INITIALLY DEFERRED" : "DEFERRABLE INITIALLY IMMEDIATE";
}

bool IsEnforced(const Json& constraint) {
  return TextOf(constraint, "definition").find(" NOT ENFORCED") == std::string::npos;
}

// For rows to come alone: NOT VALID. The rows that are there may not meet it.
bool SparesRows(const Json& constraint) {
  return TextOf(constraint, "type") == "c" && !FlagOf(constraint, "validated") &&
         !FlagOf(constraint, "inherited") && IsEnforced(constraint);
}

// A command on the table has its rows come anew: it steps aside for them.
bool StepsAside(const Json& was, const Json* constraint) {
  return constraint != nullptr && SparesRows(was) && SparesRows(*constraint);
}

// What the target has of it when rows have come: null when it is to be added.
const Json* FindBefore(const ObjectChange& change, const Json& constraint) {
  const Json* was = FindPart(ListOf(change.before, "constraints"), constraint);
  const bool aside =
      was != nullptr && change.phase == DdlPhase::kAfterRows && StepsAside(*was, &constraint);
  return aside ? nullptr : was;
}

std::string ConstraintExists(const std::string& table, const std::string& name) {
  return fmt::format(
      "SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conrelid = to_regclass({}) AND "
      "conname = {})",
      QuoteLiteral(table), QuoteLiteral(name));
}

void Add(const ObjectChange& change, const Json& constraint, ScriptWriter& out) {
  const std::string table = QualifiedName(change.after);
  const std::string name = TextOf(constraint, "name");
  // ADD ... USING INDEX took over an index that was there.
  const Json* index = nullptr;
  if (constraint.contains("index") && !IsForeignKey(constraint)) {
    for (const Json& each : ListOf(change.before, "indexes")) {
      if (each.at("oid") == constraint.at("index")) index = &each;
    }
  }
  std::string definition = TextOf(constraint, "definition");
  if (index != nullptr) {
    definition = fmt::format("{} USING INDEX {} {}",
                             TextOf(constraint, "type") == "p" ? "PRIMARY KEY" : "UNIQUE",
                             QuoteIdentifier(TextOf(*index, "name")), DeferSql(constraint));
  }
  std::string skip = ConstraintExists(table, name);
  if (constraint.contains("references")) {
    // A table that is not part of the pipeline.
    skip += fmt::format(" OR to_regclass({}) IS NULL",
                        QuoteLiteral(QualifiedPair(constraint.at("references"))));
  }
  // With ONLY there, partitions have no index for it yet.
  out.Add(fmt::format("ALTER TABLE {}{} ADD CONSTRAINT {} {}",
                      FlagOf(constraint, "only") ? "ONLY " : "", table, QuoteIdentifier(name),
                      definition),
          skip);
}

// What ALTER INDEX ... ATTACH PARTITION did to the constraint of a partition.
void Attach(const ObjectChange& change, const Json& was, const Json& constraint,
            ScriptWriter& out) {
  if (was.contains("parent_index") || !constraint.contains("parent_index") ||
      Differs(change.before, change.after, "partition_bound")) {
    return;
  }
  const std::string index =
      QuoteTable({TextOf(change.after, "schema"), TextOf(constraint, "name")});
  out.Add(fmt::format("ALTER INDEX {} ATTACH PARTITION {}",
                      QualifiedPair(constraint.at("parent_index")), index),
          PartitionExists(index));
}

}  // namespace

void DropConstraints(const ObjectChange& change, ScriptWriter& out) {
  const Json& after = ListOf(change.after, "constraints");
  const std::string table = QualifiedName(change.after);
  // Foreign keys stand behind the keys in the list; they go first.
  std::vector<const Json*> gone;
  for (const Json& constraint : ListOf(change.before, "constraints")) {
    const Json* now = FindPart(after, constraint);
    const bool aside = change.phase == DdlPhase::kBeforeRows && StepsAside(constraint, now);
    if (!FlagOf(constraint, "inherited") && (now == nullptr || aside)) gone.push_back(&constraint);
  }
  std::stable_sort(gone.begin(), gone.end(), [](const Json* a, const Json* b) {
    return IsForeignKey(*a) && !IsForeignKey(*b);
  });
  for (const Json* constraint : gone) {
    out.Add(fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}{}", table,
                        QuoteIdentifier(TextOf(*constraint, "name")),
                        change.cascade ? " CASCADE" : ""));
  }
}

void AddConstraints(const ObjectChange& change, ScriptWriter& out) {
  const std::string table = QualifiedName(change.after);
  std::vector<const Json*> fresh;
  for (const Json& constraint : ListOf(change.after, "constraints")) {
    const Json* was = FindBefore(change, constraint);
    const std::string name = QuoteIdentifier(TextOf(constraint, "name"));
    if (was == nullptr) {
      if (!FlagOf(constraint, "inherited")) fresh.push_back(&constraint);
      continue;
    }
    Attach(change, *was, constraint, out);
    if (FlagOf(constraint, "inherited")) continue;
    if (TextOf(*was, "name") != TextOf(constraint, "name")) {
      out.Add(fmt::format("ALTER TABLE {} RENAME CONSTRAINT {} TO {}", table,
                          QuoteIdentifier(TextOf(*was, "name")), name));
    }
    if (IsForeignKey(constraint) && DeferSql(*was) != DeferSql(constraint)) {
      out.Add(
          fmt::format("ALTER TABLE {} ALTER CONSTRAINT {} {}", table, name, DeferSql(constraint)));
    }
    if (IsForeignKey(constraint) && IsEnforced(*was) != IsEnforced(constraint)) {
      // It is checked on the way.
      out.Add(fmt::format("ALTER TABLE {} ALTER CONSTRAINT {} {}", table, name,
                          IsEnforced(constraint) ? "ENFORCED" : "NOT ENFORCED"));
    } else if (!FlagOf(*was, "validated") && FlagOf(constraint, "validated") && IsEnforced(*was)) {
      // One that becomes enforced has been merged with a parent's, which does the same here.
      out.Add(fmt::format("ALTER TABLE {} VALIDATE CONSTRAINT {}", table, name));
    }
  }
  std::stable_sort(fresh.begin(), fresh.end(), [](const Json* a, const Json* b) {
    return !IsForeignKey(*a) && IsForeignKey(*b);
  });
  for (const Json* constraint : fresh) Add(change, *constraint, out);
  for (const Json& constraint : ListOf(change.after, "constraints")) {
    const Json* was = FindBefore(change, constraint);
    WriteComment(
        was == nullptr ? Json::object() : *was, constraint,
        fmt::format("CONSTRAINT {} ON {}", QuoteIdentifier(TextOf(constraint, "name")), table),
        out);
    const auto of_index = [](const Json* each) {
      return Json{{"comment", each == nullptr ? "" : TextOf(*each, "index_comment")}};
    };
    WriteComment(
        of_index(was), of_index(&constraint),
        "INDEX " + QuoteTable({TextOf(change.after, "schema"), TextOf(constraint, "name")}), out);
  }
}

}  // namespace pgflow::schemas
