#include <fmt/format.h>
#include <fmt/ranges.h>

#include "schemas/ddl/object_state.h"

namespace pgflow::schemas {
namespace {

std::string LabelOf(const Json& label) { return label.at(1).get<std::string>(); }

const Json* FindLabel(const Json& labels, const Json& oid) {
  for (const Json& label : labels) {
    if (label.at(0) == oid) return &label;
  }
  return nullptr;
}

void AlterEnum(const ObjectChange& change, ScriptWriter& out) {
  const std::string name = QualifiedName(change.after);
  const Json& before = ListOf(change.before, "labels");
  const Json& after = ListOf(change.after, "labels");
  for (size_t i = 0; i < after.size(); ++i) {
    const Json* was = FindLabel(before, after[i].at(0));
    const std::string label = QuoteLiteral(LabelOf(after[i]));
    if (was != nullptr) {
      if (LabelOf(*was) == LabelOf(after[i])) continue;
      out.Add(fmt::format("ALTER TYPE {} RENAME VALUE {} TO {}", name, QuoteLiteral(LabelOf(*was)),
                          label));
      continue;
    }
    std::string place;
    if (i > 0) {
      place = " AFTER " + QuoteLiteral(LabelOf(after[i - 1]));
    } else if (after.size() > 1) {
      place = " BEFORE " + QuoteLiteral(LabelOf(after[1]));
    }
    out.Add(fmt::format("ALTER TYPE {} ADD VALUE IF NOT EXISTS {}{}", name, label, place));
  }
}

void AlterFields(const ObjectChange& change, ScriptWriter& out) {
  const std::string alter = "ALTER TYPE " + QualifiedName(change.after) + " ";
  const Json& before = ListOf(change.before, "columns");
  const Json& after = ListOf(change.after, "columns");
  for (const Json& field : before) {
    if (FindByNumber(after, field) != nullptr) continue;
    out.Add(fmt::format("{}DROP ATTRIBUTE IF EXISTS {} CASCADE", alter,
                        QuoteIdentifier(TextOf(field, "name"))));
  }
  for (const Json& field : after) {
    const std::string name = QuoteIdentifier(TextOf(field, "name"));
    const Json* was = FindByNumber(before, field);
    if (was == nullptr) {
      out.Add(fmt::format("{}ADD ATTRIBUTE {} CASCADE", alter, FieldSql(field)));
      continue;
    }
    if (TextOf(*was, "name") != TextOf(field, "name")) {
      out.Add(fmt::format("{}RENAME ATTRIBUTE {} TO {} CASCADE", alter,
                          QuoteIdentifier(TextOf(*was, "name")), name));
    }
    if (was->at("type_oid") != field.at("type_oid") ||
        was->at("type_modifier") != field.at("type_modifier")) {
      out.Add(
          fmt::format("{}ALTER ATTRIBUTE {} TYPE {} CASCADE", alter, name, TextOf(field, "type")));
    }
  }
}

// From version 17 it is a constraint with a name, which the target may have otherwise.
void AlterDomainNotNull(const ObjectChange& change, ScriptWriter& out) {
  const std::string alter = "ALTER DOMAIN " + QualifiedName(change.after) + " ";
  const std::string before = TextOf(change.before, "not_null_name");
  const std::string after = TextOf(change.after, "not_null_name");
  if (FlagOf(change.before, "not_null") != FlagOf(change.after, "not_null")) {
    if (after.empty()) {
      out.Add(alter + (FlagOf(change.after, "not_null") ? "SET NOT NULL" : "DROP NOT NULL"));
    } else {
      out.AddByVersion(fmt::format("{}ADD CONSTRAINT {} NOT NULL", alter, QuoteIdentifier(after)),
                       {.version = 170000, .sql = alter + "SET NOT NULL"});
    }
  } else if (before != after && !before.empty() && !after.empty()) {
    out.Add(
        fmt::format("{}RENAME CONSTRAINT {} TO {}", alter, QuoteIdentifier(before),
                    QuoteIdentifier(after)),
        fmt::format("SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k JOIN "
                    "pg_catalog.pg_type t ON t.oid = k.contypid JOIN pg_catalog.pg_namespace n ON "
                    "n.oid = t.typnamespace WHERE k.contype = 'n' AND k.conname = {} AND t.typname "
                    "= {} AND n.nspname = {})",
                    QuoteLiteral(before), QuoteLiteral(TextOf(change.after, "name")),
                    QuoteLiteral(TextOf(change.after, "schema"))));
  }
}

void AlterDomain(const ObjectChange& change, ScriptWriter& out) {
  const std::string alter = "ALTER DOMAIN " + QualifiedName(change.after) + " ";
  const Json& before = change.before;
  const Json& after = change.after;
  const std::string fallback = TextOf(after, "default");
  if (TextOf(before, "default") != fallback) {
    out.Add(alter + (fallback.empty() ? "DROP DEFAULT" : "SET DEFAULT " + fallback));
  }
  AlterDomainNotNull(change, out);
  for (const Json& constraint : ListOf(before, "constraints")) {
    if (FindByOid(ListOf(after, "constraints"), constraint) != nullptr) continue;
    out.Add(fmt::format("{}DROP CONSTRAINT IF EXISTS {}", alter,
                        QuoteIdentifier(TextOf(constraint, "name"))));
  }
  for (const Json& constraint : ListOf(after, "constraints")) {
    const Json* was = FindByOid(ListOf(before, "constraints"), constraint);
    const std::string name = QuoteIdentifier(TextOf(constraint, "name"));
    if (was == nullptr) {
      out.Add(fmt::format("{}ADD CONSTRAINT {} {}", alter, name, TextOf(constraint, "definition")));
      continue;
    }
    if (TextOf(*was, "name") != TextOf(constraint, "name")) {
      out.Add(fmt::format("{}RENAME CONSTRAINT {} TO {}", alter,
                          QuoteIdentifier(TextOf(*was, "name")), name));
    }
    const bool was_open = TextOf(*was, "definition").ends_with("NOT VALID");
    if (was_open && !TextOf(constraint, "definition").ends_with("NOT VALID")) {
      out.Add(fmt::format("{}VALIDATE CONSTRAINT {}", alter, name));
    }
  }
}

std::string DomainSql(const Json& domain) {
  std::string sql =
      fmt::format("CREATE DOMAIN {} AS {}", QualifiedName(domain), TextOf(domain, "base"));
  if (domain.contains("collation")) sql += " COLLATE " + TextOf(domain, "collation");
  if (domain.contains("default")) sql += " DEFAULT " + TextOf(domain, "default");
  const std::string not_null = TextOf(domain, "not_null_name");
  if (!not_null.empty()) sql += " CONSTRAINT " + QuoteIdentifier(not_null);
  if (FlagOf(domain, "not_null")) sql += " NOT NULL";
  for (const Json& constraint : ListOf(domain, "constraints")) {
    sql += fmt::format(" CONSTRAINT {} {}", QuoteIdentifier(TextOf(constraint, "name")),
                       TextOf(constraint, "definition"));
  }
  return sql;
}

std::string EnumSql(const Json& type) {
  std::vector<std::string> labels;
  for (const Json& label : ListOf(type, "labels")) labels.push_back(QuoteLiteral(LabelOf(label)));
  return fmt::format("CREATE TYPE {} AS ENUM ({})", QualifiedName(type), fmt::join(labels, ", "));
}

std::string CompositeSql(const Json& type) {
  std::vector<std::string> fields;
  for (const Json& field : ListOf(type, "columns")) fields.push_back(FieldSql(field));
  return fmt::format("CREATE TYPE {} AS ({})", QualifiedName(type), fmt::join(fields, ", "));
}

std::string RangeSql(const Json& type) {
  return fmt::format("CREATE TYPE {} {}", QualifiedName(type), TextOf(type, "definition"));
}

// A range only ever gets another name, schema or owner.
void AlterNothing(const ObjectChange& /*change*/, ScriptWriter& /*out*/) {}

void WriteType(const ObjectChange& change, const std::string& kind,
               std::string (*create_sql)(const Json&),
               void (*alter)(const ObjectChange&, ScriptWriter&), ScriptWriter& out) {
  if (WriteDrop(change, kind, QualifiedName(change.before), out)) return;
  const std::string name = QualifiedName(change.after);
  if (change.before.is_null() || TextOf(change.before, "object") == "shell type") {
    out.Add(create_sql(change.after), TypeExists(change.after));
  } else {
    WriteRename(change, kind, out);
    alter(change, out);
  }
  WriteRights(change, kind + " " + name, out);
}

}  // namespace

void WriteEnum(const ObjectChange& change, ScriptWriter& out) {
  WriteType(change, "TYPE", &EnumSql, &AlterEnum, out);
}

void WriteDomain(const ObjectChange& change, ScriptWriter& out) {
  WriteType(change, "DOMAIN", &DomainSql, &AlterDomain, out);
  if (change.after.is_null()) return;
  for (const Json& constraint : ListOf(change.after, "constraints")) {
    const Json* was = FindByOid(ListOf(change.before, "constraints"), constraint);
    WriteComment(
        was == nullptr ? Json::object() : *was, constraint,
        fmt::format("CONSTRAINT {} ON DOMAIN {}", QuoteIdentifier(TextOf(constraint, "name")),
                    QualifiedName(change.after)),
        out);
  }
}

void WriteComposite(const ObjectChange& change, ScriptWriter& out) {
  WriteType(change, "TYPE", &CompositeSql, &AlterFields, out);
}

void WriteRange(const ObjectChange& change, ScriptWriter& out) {
  WriteType(change, "TYPE", &RangeSql, &AlterNothing, out);
}

}  // namespace pgflow::schemas
