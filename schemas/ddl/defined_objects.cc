// Objects that one statement makes, which the capture builds from the catalog: operators and their
// classes and families, aggregates, casts, transforms, collations, conversions, base types,
// languages, access methods, and what full text search is set up of.
#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "schemas/ddl/object_state.h"

namespace pgflow::schemas {
namespace {

struct Catalog {
  std::string_view name;
  std::string_view named;  // The column that has an object's name; empty: it has none.
  std::string_view owner;  // The column that says whose it is; empty: nobody's.
};

constexpr Catalog kCatalogs[] = {{"pg_operator", "oprname", "oprowner"},
                                 {"pg_proc", "proname", "proowner"},
                                 {"pg_type", "typname", "typowner"},
                                 {"pg_cast", "", ""},
                                 {"pg_transform", "", ""},
                                 {"pg_collation", "collname", "collowner"},
                                 {"pg_conversion", "conname", "conowner"},
                                 {"pg_ts_parser", "prsname", ""},
                                 {"pg_ts_template", "tmplname", ""},
                                 {"pg_ts_dict", "dictname", "dictowner"},
                                 {"pg_ts_config", "cfgname", "cfgowner"},
                                 {"pg_opclass", "opcname", "opcowner"},
                                 {"pg_opfamily", "opfname", "opfowner"},
                                 {"pg_language", "lanname", "lanowner"},
                                 {"pg_foreign_data_wrapper", "fdwname", "fdwowner"},
                                 {"pg_foreign_server", "srvname", "srvowner"},
                                 {"pg_am", "amname", ""}};

const Catalog* CatalogOf(const Json& state) {
  const std::string name = TextOf(state, "catalog");
  const auto* found = std::ranges::find(kCatalogs, name, &Catalog::name);
  return found == std::end(kCatalogs) ? nullptr : found;
}

// A query that says whether the target has the object, and `more` of it.
std::string Exists(const Json& state, const std::string& more = {}) {
  const Catalog* catalog = CatalogOf(state);
  if (catalog == nullptr) return {};
  std::string named;
  if (!catalog->named.empty()) {
    named = fmt::format("o.{} = {} AND ", catalog->named, QuoteLiteral(TextOf(state, "name")));
  }
  return fmt::format(
      "SELECT EXISTS (SELECT FROM pg_catalog.{0} o WHERE {1}(SELECT identity FROM "
      "pg_catalog.pg_identify_object('pg_catalog.{0}'::regclass, o.oid, 0)) = {2}{3})",
      catalog->name, named, QuoteLiteral(TextOf(state, "address")), more);
}

std::string KindOf(const Json& state) {
  std::string kind = TextOf(state, "object");
  if (kind == "base type" || kind == "shell type") return "TYPE";
  std::ranges::transform(kind, kind.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return kind;
}

// What stands behind the kind in ALTER, DROP and COMMENT.
std::string IdentityOf(const Json& state) {
  if (state.contains("identity")) return TextOf(state, "identity");
  const std::string suffix = TextOf(state, "suffix");
  if (TextOf(state, "object") != "operator") return QualifiedName(state) + suffix;
  return fmt::format("{}.{}{}", QuoteIdentifier(TextOf(state, "schema")), TextOf(state, "name"),
                     suffix);
}

void Move(const ObjectChange& change, const std::string& kind, ScriptWriter& out) {
  Json at = change.before;
  for (const char* key : {"schema", "name"}) {
    const std::string now = TextOf(change.after, key);
    if (TextOf(at, key) == now || at.contains("identity")) continue;
    out.Add(fmt::format("ALTER {} {} {} {}", kind, IdentityOf(at),
                        std::string_view(key) == "schema" ? "SET SCHEMA" : "RENAME TO",
                        QuoteIdentifier(now)));
    at[key] = now;
  }
}

bool Has(const Json& list, const Json& element) {
  return std::ranges::any_of(list, [&](const Json& each) { return each == element; });
}

void Alter(const ObjectChange& change, const std::string& alter, ScriptWriter& out) {
  const Json& before = ListOf(change.before, "members");
  const Json& after = ListOf(change.after, "members");
  for (const Json& member : before) {
    if (!Has(after, member)) {
      out.Add(fmt::format("{} DROP {}", alter, member.at(0).get<std::string>()));
    }
  }
  for (const Json& member : after) {
    if (!Has(before, member)) {
      out.Add(fmt::format("{} ADD {}", alter, member.at(1).get<std::string>()));
    }
  }
  if (change.before.is_null()) return;
  for (const Json& part : ListOf(change.after, "alter")) {
    if (!Has(ListOf(change.before, "alter"), part)) {
      out.Add(fmt::format("{} {}", alter, part.get<std::string>()));
    }
  }
}

}  // namespace

bool IsDefinedObject(const Json& state) { return state.contains("address"); }

std::string DefinedObjectIsOfAnother(const Json& state) {
  const Catalog* catalog = CatalogOf(state);
  if (catalog == nullptr || catalog->owner.empty()) return {};
  return Exists(state, fmt::format(" AND pg_catalog.pg_get_userbyid(o.{}) <> {}", catalog->owner,
                                   QuoteLiteral(TextOf(state, "owner"))));
}

void WriteDefinedObject(const ObjectChange& change, ScriptWriter& out) {
  const std::string kind = KindOf(change.any());
  if (WriteDrop(change, kind, IdentityOf(change.any()), out)) return;
  const std::string object = TextOf(change.after, "object");
  const std::string target = kind + " " + IdentityOf(change.after);
  const bool filled = TextOf(change.before, "object") == "shell type" && object == "base type";
  if (change.before.is_null() || filled) {
    // What others name too early is there already, as a name.
    std::string made;
    if (object == "base type") made = " AND o.typisdefined";
    if (object == "operator") made = " AND o.oprcode <> 0";
    out.Add(TextOf(change.after, "definition") + ForeignOptionsSql(change.after),
            Exists(change.after, made));
  } else {
    Move(change, kind, out);
    WriteForeignOptions(change, target, out);
    if (object == "aggregate" && Differs(change.before, change.after, "definition")) {
      out.Add(TextOf(change.after, "definition"));  // CREATE OR REPLACE.
    }
  }
  if (!filled) Alter(change, "ALTER " + target, out);
  if (FlagOf(change.after, "ownerless")) {
    WriteComment(change.before, change.after, target, out);
  } else {
    WriteRights(change, target, out);
  }
}

}  // namespace pgflow::schemas
