#include "schemas/ddl/object_state.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pgflow::schemas {

std::string TextOf(const Json& state, const char* key) {
  const auto found = state.find(key);
  return found == state.end() || found->is_null() ? std::string() : found->get<std::string>();
}

bool FlagOf(const Json& state, const char* key) {
  const auto found = state.find(key);
  return found != state.end() && !found->is_null() && found->get<bool>();
}

const Json& ListOf(const Json& state, const char* key) {
  static const Json empty = Json::array();
  const auto found = state.find(key);
  return found == state.end() || found->is_null() ? empty : *found;
}

bool Differs(const Json& before, const Json& after, const char* key) {
  const auto a = before.find(key);
  const auto b = after.find(key);
  if (a == before.end() || b == after.end()) return (a == before.end()) != (b == after.end());
  return *a != *b;
}

std::string QualifiedName(const Json& state) {
  const std::string schema = TextOf(state, "schema");
  const std::string name = TextOf(state, "name");
  return schema.empty() ? QuoteIdentifier(name) : QuoteTable({schema, name});
}

std::string QualifiedPair(const Json& pair) {
  return QuoteTable({pair.at(0).get<std::string>(), pair.at(1).get<std::string>()});
}

std::string OptionList(const Json& options) {
  std::vector<std::string> list;
  for (const Json& option : options) {
    const std::string text = option.get<std::string>();
    const size_t equals = text.find('=');
    list.push_back(equals == std::string::npos
                       ? text
                       : text.substr(0, equals) + "=" + QuoteLiteral(text.substr(equals + 1)));
  }
  return fmt::format("{}", fmt::join(list, ", "));
}

const Json* FindByOid(const Json& list, const Json& element) {
  for (const Json& each : list) {
    if (each.at("oid") == element.at("oid")) return &each;
  }
  return nullptr;
}

const Json* FindByName(const Json& list, std::string_view name) {
  for (const Json& each : list) {
    if (each.at("name").get_ref<const std::string&>() == name) return &each;
  }
  return nullptr;
}

const Json* FindByNumber(const Json& list, const Json& element) {
  for (const Json& each : list) {
    if (each.at("number") == element.at("number")) return &each;
  }
  return nullptr;
}

const Json* FindPart(const Json& list, const Json& part) {
  if (const Json* same = FindByOid(list, part); same != nullptr) return same;
  const Json* named = FindByName(list, TextOf(part, "name"));
  if (named == nullptr) return nullptr;
  return TextOf(*named, "definition") == TextOf(part, "definition") ? named : nullptr;
}

std::string RelationExists(const std::string& quoted_name) {
  return fmt::format("SELECT to_regclass({}) IS NOT NULL", QuoteLiteral(quoted_name));
}

std::string PartitionExists(const std::string& quoted_name) {
  return fmt::format("SELECT relispartition FROM pg_catalog.pg_class WHERE oid = to_regclass({})",
                     QuoteLiteral(quoted_name));
}

std::string BlockSql(const std::string& block) { return "DO " + QuoteLiteral(block); }

std::string ColumnIsNotNull(const std::string& quoted_table, const Json& column) {
  return fmt::format(
      "SELECT attnotnull FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass({}) AND attname "
      "= {}",
      QuoteLiteral(quoted_table), QuoteLiteral(TextOf(column, "name")));
}

std::string TypeExists(const Json& type) {
  // Neither one that is only announced, nor an array type, whose name the server chose: it makes
  // room.
  return fmt::format(
      "SELECT EXISTS (SELECT FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = "
      "t.typnamespace WHERE n.nspname = {} AND t.typname = {} AND t.typisdefined AND NOT EXISTS "
      "(SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid))",
      QuoteLiteral(TextOf(type, "schema")), QuoteLiteral(TextOf(type, "name")));
}

std::string RoutineExists(const Json& routine, const std::string& more) {
  return fmt::format(
      "SELECT EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.proname = {} AND (SELECT identity "
      "FROM pg_catalog.pg_identify_object('pg_catalog.pg_proc'::regclass, p.oid, 0)) = {}{})",
      QuoteLiteral(TextOf(routine, "name")), QuoteLiteral(TextOf(routine, "whole_signature")),
      more);
}

bool WriteDrop(const ObjectChange& change, std::string_view kind, const std::string& name,
               ScriptWriter& out) {
  if (!change.after.is_null()) return false;
  out.Add(fmt::format("DROP {} IF EXISTS {}{}", kind, name, change.cascade ? " CASCADE" : ""));
  return true;
}

void WriteOptions(const Json& before, const Json& after, const std::string& target,
                  ScriptWriter& out) {
  if (!Differs(before, after, "options")) return;
  const Json& options = ListOf(after, "options");
  std::vector<std::string> gone;
  for (const Json& option : ListOf(before, "options")) {
    const std::string text = option.get<std::string>();
    const std::string name = text.substr(0, text.find('='));
    bool kept = false;
    for (const Json& each : options) kept |= each.get<std::string>().starts_with(name + "=");
    if (!kept) gone.push_back(name);
  }
  if (!gone.empty()) out.Add(fmt::format("ALTER {} RESET ({})", target, fmt::join(gone, ", ")));
  if (!options.empty()) out.Add(fmt::format("ALTER {} SET ({})", target, OptionList(options)));
}

void WriteRename(const ObjectChange& change, const std::string& kind, ScriptWriter& out) {
  Json at = change.before;
  const std::string schema = TextOf(change.after, "schema");
  const std::string name = TextOf(change.after, "name");
  if (TextOf(at, "schema") != schema) {
    out.Add(
        fmt::format("ALTER {} {} SET SCHEMA {}", kind, QualifiedName(at), QuoteIdentifier(schema)));
    at["schema"] = schema;
  }
  if (TextOf(at, "name") != name) {
    out.Add(
        fmt::format("ALTER {} {} RENAME TO {}", kind, QualifiedName(at), QuoteIdentifier(name)));
  }
}

}  // namespace pgflow::schemas
