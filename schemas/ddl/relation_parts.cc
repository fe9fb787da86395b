#include <algorithm>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "schemas/ddl/object_state.h"

namespace pgflow::schemas {
namespace {

std::string InSchema(const ObjectChange& change, const Json& part) {
  const std::string own = TextOf(part, "schema");
  return QuoteTable({own.empty() ? TextOf(change.after, "schema") : own, TextOf(part, "name")});
}

bool IsAttached(const Json& index) { return index.contains("parent"); }

// An index that became a constraint's, by ADD CONSTRAINT ... USING INDEX.
bool WentIntoConstraint(const ObjectChange& change, const Json& index) {
  for (const Json& constraint : ListOf(change.after, "constraints")) {
    if (constraint.contains("index") && constraint.at("index") == index.at("oid")) return true;
  }
  return false;
}

// Those of partitions under a new one that is not whole.
void AttachIndexes(const Json& index, ScriptWriter& out) {
  for (const Json& part : ListOf(index, "attached")) {
    const std::string name = QualifiedName(part);
    out.Add(TextOf(part, "definition"), RelationExists(name));
    out.Add(
        fmt::format("ALTER INDEX {} ATTACH PARTITION {}", QualifiedPair(part.at("parent")), name),
        PartitionExists(name));
  }
}

void AddIndexes(const ObjectChange& change, ScriptWriter& out) {
  for (const Json& index : ListOf(change.after, "indexes")) {
    const Json* was = FindPart(ListOf(change.before, "indexes"), index);
    const std::string name = InSchema(change, index);
    if (was == nullptr) {
      // One that hangs on the index of a parent came with that, or by ATTACH.
      if (!IsAttached(index)) {
        out.Add(TextOf(index, "definition"), RelationExists(name));
        AttachIndexes(index, out);
      }
    } else {
      if (TextOf(*was, "name") != TextOf(index, "name")) {
        out.Add(fmt::format("ALTER INDEX {} RENAME TO {}", InSchema(change, *was),
                            QuoteIdentifier(TextOf(index, "name"))));
      }
      if (IsAttached(index) && !IsAttached(*was) &&
          !Differs(change.before, change.after, "partition_bound")) {
        out.Add(fmt::format("ALTER INDEX {} ATTACH PARTITION {}", QualifiedPair(index.at("parent")),
                            name));
      }
      WriteOptions(*was, index, "INDEX " + name, out);
    }
    if (Differs(was == nullptr ? Json::object() : *was, index, "column_statistics")) {
      for (const Json& each : ListOf(index, "column_statistics")) {
        out.Add(fmt::format("ALTER INDEX {} ALTER COLUMN {} SET STATISTICS {}", name,
                            each.at(0).get<int>(), each.at(1).get<int>()));
      }
    }
    WriteComment(was == nullptr ? Json::object() : *was, index, "INDEX " + name, out);
  }
}

void DropNamed(std::string_view kind, const Json& part, const std::string& table, ScriptWriter& out,
               std::string_view cascade = {}) {
  out.Add(fmt::format("DROP {} IF EXISTS {} ON {}{}", kind, QuoteIdentifier(TextOf(part, "name")),
                      table, cascade));
}

std::string PolicySql(const Json& policy, const std::string& table) {
  static constexpr std::string_view kCommands[] = {"SELECT", "INSERT", "UPDATE", "DELETE", "ALL"};
  const size_t command = std::string_view("rawd*").find(TextOf(policy, "command"));
  std::vector<std::string> roles;
  for (const Json& role : ListOf(policy, "roles")) roles.push_back(role.get<std::string>());
  std::string sql = fmt::format("CREATE POLICY {} ON {} AS {} FOR {} TO {}",
                                QuoteIdentifier(TextOf(policy, "name")), table,
                                FlagOf(policy, "permissive") ? "PERMISSIVE" : "RESTRICTIVE",
                                command < 5 ? kCommands[command] : "ALL", fmt::join(roles, ", "));
  if (policy.contains("using")) sql += fmt::format(" USING ({})", TextOf(policy, "using"));
  if (policy.contains("check")) sql += fmt::format(" WITH CHECK ({})", TextOf(policy, "check"));
  return sql;
}

bool SamePolicy(const Json& a, const Json& b) {
  for (const char* key : {"name", "command", "permissive", "roles", "using", "check"}) {
    if (Differs(a, b, key)) return false;
  }
  return true;
}

void AddPolicies(const ObjectChange& change, ScriptWriter& out) {
  const std::string table = QualifiedName(change.after);
  for (const Json& policy : ListOf(change.after, "policies")) {
    const Json* was = FindByOid(ListOf(change.before, "policies"), policy);
    const std::string name = QuoteIdentifier(TextOf(policy, "name"));
    if (was == nullptr || !SamePolicy(*was, policy)) {
      DropNamed("POLICY", was == nullptr ? policy : *was, table, out);
      // Its roles may be missing here.
      out.Try(PolicySql(policy, table));
    }
    WriteComment(was == nullptr ? Json::object() : *was, policy,
                 fmt::format("POLICY {} ON {}", name, table), out);
  }
}

// What it calls may have been left out.
void AddProgram(const Json& part, ScriptWriter& out) {
  if (TextOf(part, "risk").empty()) {
    out.Add(TextOf(part, "definition"));
  } else {
    out.Try(TextOf(part, "definition"));
  }
}

// When a trigger or rule fires; `was` null: it is new.
void Enable(std::string_view kind, const Json* was, const Json& part, const std::string& table,
            ScriptWriter& out) {
  const std::string enabled = TextOf(part, "enabled");
  const std::string before = was == nullptr ? "O" : TextOf(*was, "enabled");
  if (enabled.empty() || before == enabled) return;
  const std::string sql = fmt::format("ALTER TABLE {} {} {} {}", table,
                                      enabled == "D"   ? "DISABLE"
                                      : enabled == "R" ? "ENABLE REPLICA"
                                      : enabled == "A" ? "ENABLE ALWAYS"
                                                       : "ENABLE",
                                      kind, QuoteIdentifier(TextOf(part, "name")));
  if (TextOf(part, "risk").empty()) {
    out.Add(sql);
  } else {
    out.Try(sql);
  }
}

// CREATE OR REPLACE TRIGGER on a partitioned table takes the place of what partitions have of that
// name. (The statement itself is not known before version 14.)
void ReplaceTriggersOfPartitions(const Json& trigger, const std::string& table, ScriptWriter& out) {
  const std::string own = fmt::format(
      "FROM pg_catalog.pg_partition_tree({}) p JOIN pg_catalog.pg_trigger t ON t.tgrelid = p.relid "
      "WHERE p.level > 0 AND t.tgname = {} AND t.tgparentid = 0 AND NOT t.tgisinternal",
      QuoteLiteral(table), QuoteLiteral(TextOf(trigger, "name")));
  out.Add(BlockSql(fmt::format(
              "DECLARE own record; BEGIN FOR own IN SELECT t.tgname, p.relid {} LOOP "
              "EXECUTE pg_catalog.format('DROP TRIGGER %I ON %s', own.tgname, own.relid); "
              "END LOOP; END",
              own)),
          fmt::format("SELECT NOT EXISTS (SELECT {})", own));
}

void AddTriggers(const ObjectChange& change, ScriptWriter& out) {
  const std::string table = QualifiedName(change.after);
  for (const Json& trigger : ListOf(change.after, "triggers")) {
    const Json* was = FindByOid(ListOf(change.before, "triggers"), trigger);
    const std::string name = QuoteIdentifier(TextOf(trigger, "name"));
    const bool anew = was == nullptr || Differs(*was, trigger, "definition");
    if (anew) {
      DropNamed("TRIGGER", was == nullptr ? trigger : *was, table, out);
      if (FlagOf(change.after, "partitioned")) ReplaceTriggersOfPartitions(trigger, table, out);
      AddProgram(trigger, out);
    }
    Enable("TRIGGER", anew ? nullptr : was, trigger, table, out);
    WriteComment(was == nullptr ? Json::object() : *was, trigger,
                 fmt::format("TRIGGER {} ON {}", name, table), out);
  }
}

void EnableInheritedTriggers(const ObjectChange& change, ScriptWriter& out) {
  for (const Json& trigger : ListOf(change.after, "inherited_triggers")) {
    Json part = trigger;
    part["risk"] = "its root's";  // Which may have been left out here.
    Enable("TRIGGER",
           FindByName(ListOf(change.before, "inherited_triggers"), TextOf(trigger, "name")), part,
           "ONLY " + QualifiedName(change.after), out);
  }
}

// What stands behind the name in its definition.
std::string_view RuleBody(std::string_view definition) {
  definition.remove_prefix(std::min(definition.size(), std::string_view("CREATE RULE ").size()));
  bool quoted = false;
  while (!definition.empty() && (quoted || definition.front() != ' ')) {
    quoted ^= definition.front() == '"';
    definition.remove_prefix(1);
  }
  return definition;
}

void AddRules(const ObjectChange& change, ScriptWriter& out) {
  const std::string table = QualifiedName(change.after);
  for (const Json& rule : ListOf(change.after, "rules")) {
    const Json* was = FindByOid(ListOf(change.before, "rules"), rule);
    const std::string name = QuoteIdentifier(TextOf(rule, "name"));
    const std::string definition = TextOf(rule, "definition");
    const std::string before = was == nullptr ? "" : TextOf(*was, "definition");
    const bool anew = was == nullptr || RuleBody(before) != RuleBody(definition);
    if (!anew && before != definition) {
      const std::string rename = fmt::format("ALTER RULE {} ON {} RENAME TO {}",
                                             QuoteIdentifier(TextOf(*was, "name")), table, name);
      TextOf(rule, "risk").empty() ? out.Add(rename) : out.Try(rename);
    }
    if (anew) {
      DropNamed("RULE", was == nullptr ? rule : *was, table, out);
      AddProgram(rule, out);
    }
    Enable("RULE", anew ? nullptr : was, rule, table, out);
    WriteComment(was == nullptr ? Json::object() : *was, rule,
                 fmt::format("RULE {} ON {}", name, table), out);
  }
}

void AddStatistics(const ObjectChange& change, ScriptWriter& out) {
  for (const Json& statistics : ListOf(change.after, "statistics")) {
    const Json* was = FindByOid(ListOf(change.before, "statistics"), statistics);
    const std::string name = InSchema(change, statistics);
    if (was == nullptr) {
      out.Add(TextOf(statistics, "definition"),
              fmt::format("SELECT EXISTS (SELECT FROM pg_catalog.pg_statistic_ext WHERE "
                          "stxnamespace = to_regnamespace({}) AND stxname = {})",
                          QuoteLiteral(QuoteIdentifier(TextOf(statistics, "schema"))),
                          QuoteLiteral(TextOf(statistics, "name"))));
    } else {
      Json at = *was;
      if (TextOf(at, "schema") != TextOf(statistics, "schema")) {
        out.Add(fmt::format("ALTER STATISTICS {} SET SCHEMA {}", InSchema(change, at),
                            QuoteIdentifier(TextOf(statistics, "schema"))));
        at["schema"] = TextOf(statistics, "schema");
      }
      if (TextOf(at, "name") != TextOf(statistics, "name")) {
        out.Add(fmt::format("ALTER STATISTICS {} RENAME TO {}", InSchema(change, at),
                            QuoteIdentifier(TextOf(statistics, "name"))));
      }
    }
    const Json& before = was == nullptr ? Json::object() : *was;
    if (Differs(before, statistics, "target")) {
      const std::string target = TextOf(statistics, "target");
      out.Add(fmt::format("ALTER STATISTICS {} SET STATISTICS {}", name,
                          target.empty() ? "-1" : target));
    }
    if (Differs(before, statistics, "owner")) {
      out.Try(fmt::format("ALTER STATISTICS {} OWNER TO {}", name,
                          QuoteIdentifier(TextOf(statistics, "owner"))),
              RoleMissing(TextOf(statistics, "owner")));
    }
    WriteComment(was == nullptr ? Json::object() : *was, statistics, "STATISTICS " + name, out);
  }
}

}  // namespace

void DropRelationParts(const ObjectChange& change, ScriptWriter& out) {
  const std::string table = QualifiedName(change.after);
  const std::string_view cascade = change.cascade ? " CASCADE" : "";
  const auto gone = [&](const char* kind, const auto& drop) {
    for (const Json& part : ListOf(change.before, kind)) {
      if (FindPart(ListOf(change.after, kind), part) == nullptr) drop(part);
    }
  };
  gone("triggers", [&](const Json& part) { DropNamed("TRIGGER", part, table, out, cascade); });
  gone("rules", [&](const Json& part) { DropNamed("RULE", part, table, out, cascade); });
  gone("policies", [&](const Json& part) { DropNamed("POLICY", part, table, out); });
  gone("statistics", [&](const Json& part) {
    out.Add(fmt::format("DROP STATISTICS IF EXISTS {}", InSchema(change, part)));
  });
  gone("indexes", [&](const Json& part) {
    if (WentIntoConstraint(change, part) || IsAttached(part)) return;
    out.Add(fmt::format("DROP INDEX IF EXISTS {}{}", InSchema(change, part), cascade));
  });
}

void AddRelationParts(const ObjectChange& change, ScriptWriter& out) {
  AddIndexes(change, out);
  AddStatistics(change, out);
  AddRules(change, out);
  AddTriggers(change, out);
  EnableInheritedTriggers(change, out);
  AddPolicies(change, out);
}

}  // namespace pgflow::schemas
