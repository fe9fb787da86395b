#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "schemas/ddl/object_state.h"

namespace pgflow::schemas {

std::string RoleMissing(const std::string& role) {
  return fmt::format("SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {})",
                     QuoteLiteral(role));
}

void WriteComment(const Json& before, const Json& after, const std::string& target,
                  ScriptWriter& out) {
  const std::string text = TextOf(after, "comment");
  if (text == TextOf(before, "comment")) return;
  out.Try(fmt::format("COMMENT ON {} IS {}", target, text.empty() ? "NULL" : QuoteLiteral(text)));
}

namespace {

// GRANT of one entry of a list of privileges. A superuser grants in the owner's name; what somebody
// else granted is granted by that one again.
void Grant(const Json& grant, const std::string& on, const std::string& columns,
           const std::string& owner, ScriptWriter& out) {
  const std::string role = TextOf(grant, "role");
  const std::string by = TextOf(grant, "by");
  const bool everyone = FlagOf(grant, "public");
  std::string sql = fmt::format("GRANT {} {} ON {} TO {}{}", TextOf(grant, "privilege"), columns,
                                on, everyone ? "PUBLIC" : QuoteIdentifier(role),
                                FlagOf(grant, "grantable") ? " WITH GRANT OPTION" : "");
  if (!by.empty() && by != owner) {
    sql = fmt::format("SET LOCAL ROLE {};\n{};\nRESET ROLE", QuoteIdentifier(by), sql);
  }
  out.Try(std::move(sql), everyone ? std::string() : RoleMissing(role));
}

}  // namespace

void WriteGrants(const Json& before, const Json& after, const std::string& on,
                 const std::string& columns, const std::string& owner, ScriptWriter& out) {
  // Everything anew: the list before may have been the default, which is not written down.
  std::set<std::string> roles;
  for (const Json* list : {&before, &after}) {
    for (const Json& grant : *list) {
      if (!FlagOf(grant, "public")) roles.insert(TextOf(grant, "role"));
    }
  }
  if (columns.empty()) roles.insert(owner);
  out.Try(fmt::format("REVOKE ALL {} ON {} FROM PUBLIC", columns, on));
  for (const std::string& role : roles) {
    out.Try(fmt::format("REVOKE ALL {} ON {} FROM {} CASCADE", columns, on, QuoteIdentifier(role)),
            RoleMissing(role));
  }
  // Who grants has to have been granted it.
  std::vector<const Json*> left;
  for (const Json& grant : after) left.push_back(&grant);
  std::set<std::pair<std::string, std::string>> may_grant;
  const auto is_ready = [&](const Json* grant) {
    const std::string by = TextOf(*grant, "by");
    return by.empty() || by == owner || may_grant.contains({by, TextOf(*grant, "privilege")});
  };
  while (!left.empty()) {
    auto next = std::ranges::find_if(left, is_ready);
    if (next == left.end()) next = left.begin();
    const Json& grant = **next;
    left.erase(next);
    Grant(grant, on, columns, owner, out);
    if (FlagOf(grant, "grantable")) {
      may_grant.insert({TextOf(grant, "role"), TextOf(grant, "privilege")});
    }
  }
}

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
                  fmt::format("({})", QuoteIdentifier(TextOf(column, "name"))),
                  TextOf(change.after, "owner"), out);
    }
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
    if (on.starts_with("FOREIGN TABLE ")) on = on.substr(8);
    if (on.starts_with("SERVER ")) on = "FOREIGN " + on;
    if (on.starts_with("AGGREGATE ")) {
      on = "FUNCTION " + on.substr(10);
      if (on.ends_with("(*)")) on.replace(on.size() - 3, 3, "()");
    }
    WriteGrants(ListOf(before, "grants"), ListOf(change.after, "grants"), on, "", owner, out);
  }
  WriteComment(before, change.after, target, out);
}

}  // namespace pgflow::schemas
