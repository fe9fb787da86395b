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

// It stands at the end, where no expression can look like it.
bool IsEnforced(const Json& constraint) {
  return !TextOf(constraint, "definition").ends_with(" NOT ENFORCED");
}

// The text without `word`, of which that stands outside of names.
std::string Without(std::string_view word, std::string_view text) {
  std::string rest;
  bool quoted = false;
  while (!text.empty()) {
    if (!quoted && text.starts_with(word)) {
      text.remove_prefix(word.size());
      continue;
    }
    quoted ^= text.front() == '"';
    rest += text.front();
    text.remove_prefix(1);
  }
  return rest;
}

// What servers before version 18 can have in the place of a new one.
OnOlderServers OlderConstraint(const Json& constraint, bool of_partitioned) {
  const std::string name = TextOf(constraint, "name");
  const std::string definition = TextOf(constraint, "definition");
  if (!IsEnforced(constraint)) {
    return {.loss = fmt::format("constraint {}: servers before version 18 have none that are NOT "
                                "ENFORCED: it is left out",
                                name)};
  }
  if (IsForeignKey(constraint)) {
    if (Without(" PERIOD ", definition) != definition) {
      return {.loss = fmt::format("constraint {}: servers before version 18 have no foreign keys "
                                  "with PERIOD: it is left out",
                                  name)};
    }
    if (of_partitioned && !FlagOf(constraint, "validated")) {
      return {.loss = fmt::format("constraint {}: servers before version 18 have no NOT VALID "
                                  "foreign keys of partitioned tables: it is left out until it is "
                                  "validated",
                                  name)};
    }
    return {.sql = definition};
  }
  std::string older =
      TextOf(constraint, "type") == "c" ? definition : Without(" WITHOUT OVERLAPS", definition);
  const bool same = older == definition;
  return {.sql = std::move(older),
          .loss = same ? ""
                       : fmt::format("constraint {}: servers before version 18 do not know WITHOUT "
                                     "OVERLAPS: the key is made without it",
                                     name)};
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
  const std::string add =
      fmt::format("ALTER TABLE {}{} ADD CONSTRAINT {} ", FlagOf(constraint, "only") ? "ONLY " : "",
                  table, QuoteIdentifier(name));
  OnOlderServers older = OlderConstraint(constraint, FlagOf(change.after, "partitioned"));
  if (index != nullptr) older.sql = definition;
  if (!older.sql.empty()) older.sql = add + older.sql;
  out.AddByVersion(add + definition, std::move(older), skip);
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

// Of a constraint that servers before version 18 may have to do without.
void AddIfThere(const Json& constraint, const std::string& sql, ScriptWriter& out) {
  const bool left_out = OlderConstraint(constraint, false).sql.empty();
  out.AddByVersion(sql, OnOlderServers{.sql = left_out ? "" : sql});
}

// ENFORCED or not, and what is found of it among the rows.
void Enforce(const ObjectChange& change, const Json& was, const Json& constraint,
             ScriptWriter& out) {
  const std::string table = QualifiedName(change.after);
  const std::string name = QuoteIdentifier(TextOf(constraint, "name"));
  if (IsForeignKey(constraint) && IsEnforced(was) != IsEnforced(constraint)) {
    // It is checked on the way. Before version 18 it was left out; now is the time for it.
    const bool enforced = IsEnforced(constraint);
    if (enforced) Add(change, constraint, out);
    OnOlderServers older;
    if (!enforced) {
      older = OlderConstraint(constraint, false);
      older.sql = fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}", table, name);
    }
    out.AddByVersion(fmt::format("ALTER TABLE {} ALTER CONSTRAINT {} {}", table, name,
                                 enforced ? "ENFORCED" : "NOT ENFORCED"),
                     std::move(older));
  } else if (!FlagOf(was, "validated") && FlagOf(constraint, "validated") && IsEnforced(was)) {
    // One that becomes enforced has been merged with a parent's, which does the same here.
    if (IsForeignKey(constraint)) Add(change, constraint, out);
    AddIfThere(constraint, fmt::format("ALTER TABLE {} VALIDATE CONSTRAINT {}", table, name), out);
  }
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
      AddIfThere(*was,
                 fmt::format("ALTER TABLE {} RENAME CONSTRAINT {} TO {}", table,
                             QuoteIdentifier(TextOf(*was, "name")), name),
                 out);
    }
    if (IsForeignKey(constraint) && DeferSql(*was) != DeferSql(constraint)) {
      AddIfThere(
          *was,
          fmt::format("ALTER TABLE {} ALTER CONSTRAINT {} {}", table, name, DeferSql(constraint)),
          out);
    }
    Enforce(change, *was, constraint, out);
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
