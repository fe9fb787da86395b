// ALTER DEFAULT PRIVILEGES: what a role's future objects of a kind are granted.
#include <set>

#include <fmt/format.h>

#include "schemas/ddl/object_state.h"

namespace pgflow::schemas {

void WriteDefaultPrivileges(const ObjectChange& change, ScriptWriter& out) {
  const Json& state = change.any();
  const std::string owner = TextOf(state, "owner");
  const std::string kind = TextOf(state, "kind");
  const std::string in_schema = TextOf(state, "in_schema");
  const std::string alter =
      fmt::format("ALTER DEFAULT PRIVILEGES FOR ROLE {}{} ", QuoteIdentifier(owner),
                  in_schema.empty() ? "" : " IN SCHEMA " + QuoteIdentifier(in_schema));
  const auto grant = [&](std::string_view privilege, const std::string& role, bool grantable) {
    out.Try(fmt::format("{}GRANT {} ON {} TO {}{}", alter, privilege, kind,
                        role.empty() ? "PUBLIC" : QuoteIdentifier(role),
                        grantable ? " WITH GRANT OPTION" : ""),
            role.empty() ? std::string() : RoleMissing(role));
  };
  std::set<std::string> roles = {""};  // Of everybody.
  if (in_schema.empty()) roles.insert(owner);
  for (const Json* each : {&change.before, &change.after}) {
    for (const Json& one : ListOf(*each, "grants")) {
      roles.insert(FlagOf(one, "public") ? "" : TextOf(one, "role"));
    }
  }
  for (const std::string& role : roles) {
    out.Try(fmt::format("{}REVOKE ALL ON {} FROM {}", alter, kind,
                        role.empty() ? "PUBLIC" : QuoteIdentifier(role)),
            role.empty() ? std::string() : RoleMissing(role));
  }
  if (!change.after.is_null()) {
    for (const Json& one : ListOf(change.after, "grants")) {
      grant(TextOf(one, "privilege"), FlagOf(one, "public") ? "" : TextOf(one, "role"),
            FlagOf(one, "grantable"));
    }
  } else if (in_schema.empty()) {
    // As if nothing had ever been said.
    grant("ALL", owner, false);
    if (kind == "FUNCTIONS") grant("EXECUTE", "", false);
    if (kind == "TYPES") grant("USAGE", "", false);
  }
}

}  // namespace pgflow::schemas
