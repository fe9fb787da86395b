// Options of foreign data wrappers, servers, foreign tables and their columns.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "schemas/ddl/object_state.h"

namespace pgflow::schemas {
namespace {

const Json& MembersOf(const Json& state, const char* key) {
  static const Json empty = Json::object();
  const auto found = state.find(key);
  return found == state.end() || found->is_null() ? empty : *found;
}

// " OPTIONS (...)" that makes `before` `after`, or nothing. For CREATE `before` is empty.
std::string Options(const Json& before, const Json& after, bool create) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : after.items()) {
    const std::string text =
        QuoteIdentifier(name) + " " + QuoteLiteral(value.get_ref<const std::string&>());
    const auto was = before.find(name);
    if (was == before.end()) {
      parts.push_back(create ? text : "ADD " + text);
    } else if (*was != value) {
      parts.push_back("SET " + text);
    }
  }
  for (const auto& [name, value] : before.items()) {
    if (!after.contains(name)) parts.push_back("DROP " + QuoteIdentifier(name));
  }
  return parts.empty() ? std::string() : fmt::format(" OPTIONS ({})", fmt::join(parts, ", "));
}

}  // namespace

std::string ForeignOptionsSql(const Json& state) {
  return Options(Json::object(), MembersOf(state, "foreign_options"), true);
}

void WriteForeignOptions(const ObjectChange& change, const std::string& target, ScriptWriter& out) {
  const std::string options = Options(MembersOf(change.before, "foreign_options"),
                                      MembersOf(change.after, "foreign_options"), false);
  if (!options.empty()) out.Add(fmt::format("ALTER {}{}", target, options));
}

void WriteForeignColumnOptions(const ObjectChange& change, ScriptWriter& out) {
  const Json& before = MembersOf(change.before, "column_options");
  const Json& after = MembersOf(change.after, "column_options");
  for (const Json& column : ListOf(change.after, "columns")) {
    const std::string number = column.at("number").dump();
    const std::string options =
        Options(MembersOf(before, number.c_str()), MembersOf(after, number.c_str()), false);
    if (options.empty()) continue;
    out.Add(fmt::format("ALTER FOREIGN TABLE {} ALTER COLUMN {}{}", QualifiedName(change.after),
                        QuoteIdentifier(TextOf(column, "name")), options));
  }
}

}  // namespace pgflow::schemas
