#include <set>

#include <fmt/format.h>

#include "schemas/ddl/object_state.h"

namespace pgflow::schemas {
namespace {

std::string RoleMissing(const std::string& role) {
  return fmt::format("SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {})",
                     QuoteLiteral(role));
}

}  // namespace

void WriteComment(const Json& before, const Json& after, const std::string& target,
                  ScriptWriter& out) {
  const std::string text = TextOf(after, "comment");
  if (text == TextOf(before, "comment")) return;
  out.Try(fmt::format("COMMENT ON {} IS {}", target, text.empty() ? "NULL" : QuoteLiteral(text)));
}

void WriteGrants(const Json& before, const Json& after, const std::string& on,
                 const std::string& columns, const std::string& owner, ScriptWriter& out) {
  // Everything anew: the list before may have been the default, which is not written down.
  std::set<std::string> roles;
  for (const Json* list : {&before, &after}) {
    for (const Json& grant : *list) {
      if (!FlagOf(grant, "public")) roles.insert(TextOf(grant, "role"));
    }
  }
  if (!owner.empty()) roles.insert(owner);
  out.Try(fmt::format("REVOKE ALL {} ON {} FROM PUBLIC", columns, on));
  for (const std::string& role : roles) {
    out.Try(fmt::format("REVOKE ALL {} ON {} FROM {} CASCADE", columns, on, QuoteIdentifier(role)),
            RoleMissing(role));
  }
  for (const Json& grant : after) {
    const std::string role = TextOf(grant, "role");
    const bool everyone = FlagOf(grant, "public");
    out.Try(fmt::format("GRANT {} {} ON {} TO {}{}", TextOf(grant, "privilege"), columns, on,
                        everyone ? "PUBLIC" : QuoteIdentifier(role),
                        FlagOf(grant, "grantable") ? " WITH GRANT OPTION" : ""),
            everyone ? std::string() : RoleMissing(role));
  }
}

void WriteRights(const ObjectChange& change, const std::string& target, ScriptWriter& out) {
  const Json& before = change.before;
  const std::string owner = TextOf(change.after, "owner");
  if (owner != TextOf(before, "owner")) {
    out.Try(fmt::format("ALTER {} OWNER TO {}", target, QuoteIdentifier(owner)),
            RoleMissing(owner));
  }
  const bool is_default = FlagOf(change.after, "default_grants");
  const bool was_default = before.is_null() || FlagOf(before, "default_grants");
  if (!(is_default && was_default) &&
      (is_default != was_default || Differs(before, change.after, "grants"))) {
    std::string on = target;
    for (const std::string_view kind : {"MATERIALIZED VIEW ", "VIEW "}) {
      if (on.starts_with(kind)) on = "TABLE " + on.substr(kind.size());
    }
    WriteGrants(ListOf(before, "grants"), ListOf(change.after, "grants"), on, "", owner, out);
  }
  WriteComment(before, change.after, target, out);
}

}  // namespace pgflow::schemas
