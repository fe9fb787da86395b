#include "schemas/ddl/trust.h"

#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pgflow::schemas {
namespace {

struct PartKind {
  const char* list;
  std::string_view word;
};

constexpr PartKind kParts[] = {{"constraints", "constraint"}, {"indexes", "index"},
                               {"triggers", "trigger"},       {"rules", "rule"},
                               {"policies", "policy"},        {"statistics", "statistics"}};

bool RunsForTheSink(const Json& part, std::string_view word, const DdlTrust& trust) {
  const std::string risk = TextOf(part, "risk");
  if (risk.empty()) return false;
  if (!trust.fires_as_replica) return true;
  // The sink's session is a replica's, for which ordinary triggers and rules do not fire.
  const std::string enabled = TextOf(part, "enabled");
  return (word != "trigger" && word != "rule") || enabled == "A" || enabled == "R";
}

// Takes such parts out of the state. Tells of those that `known` does not have.
void TakeOutParts(Json& state, const Json* known, const DdlTrust& trust, ScriptWriter& out) {
  for (const PartKind& kind : kParts) {
    const auto found = state.find(kind.list);
    if (found == state.end() || !found->is_array()) continue;
    Json kept = Json::array();
    for (const Json& part : *found) {
      if (!RunsForTheSink(part, kind.word, trust)) {
        kept.push_back(part);
      } else if (known != nullptr && FindByOid(ListOf(*known, kind.list), part) == nullptr) {
        out.Warn(
            fmt::format("{} {} is left out: it would let {} run with the rights of pgflow's "
                        "role on the target (see ddl_trusts_source)",
                        kind.word, TextOf(part, "name"), TextOf(part, "risk")));
      }
    }
    *found = std::move(kept);
  }
}

void TakeOutDefaults(Json& state, const Json* known, ScriptWriter& out) {
  const auto columns = state.find("columns");
  if (columns == state.end()) return;
  for (Json& column : *columns) {
    if (TextOf(column, "risk").empty() || column.contains("generated")) continue;
    if (known != nullptr && FindByNumber(ListOf(*known, "columns"), column) == nullptr) {
      out.Warn(
          fmt::format("the default of column {} is left out: it would let {} run with the "
                      "rights of pgflow's role on the target (see ddl_trusts_source)",
                      TextOf(column, "name"), TextOf(column, "risk")));
    }
    column.erase("default");
    column.erase("risk");
  }
}

// What the object cannot do without. Empty: nothing of it is a risk.
std::string RiskOfTheWhole(const Json& state, const Json& before) {
  if (before.is_null() && TextOf(state, "object") != "domain") {
    if (std::string risk = TextOf(state, "risk"); !risk.empty()) return risk;
  }
  for (const Json& column : ListOf(state, "columns")) {
    if (!column.contains("generated") || TextOf(column, "risk").empty()) continue;
    const Json* was = FindByNumber(ListOf(before, "columns"), column);
    if (was == nullptr || Differs(*was, column, "default_oid")) return TextOf(column, "risk");
  }
  return {};
}

bool IsProgram(std::string_view object) {
  return object == "function" || object == "procedure" || object == "view" ||
         object == "materialized view";
}

// True when the target's object of that name belongs to another role.
std::string BelongsToAnother(const Json& state) {
  const std::string object = TextOf(state, "object");
  if (object == "function" || object == "procedure") {
    if (!state.contains("whole_signature")) return "SELECT true";  // Of an older capture.
    return RoutineExists(state, fmt::format(" AND pg_catalog.pg_get_userbyid(p.proowner) <> {}",
                                            QuoteLiteral(TextOf(state, "owner"))));
  }
  return fmt::format(
      "SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = to_regclass({}) AND "
      "pg_catalog.pg_get_userbyid(relowner) <> {})",
      QuoteLiteral(QualifiedName(state)), QuoteLiteral(TextOf(state, "owner")));
}

std::string AlterWord(std::string_view object) {
  if (object == "procedure") return "PROCEDURE";
  if (object == "function") return "FUNCTION";
  return object == "view" ? "VIEW" : "MATERIALIZED VIEW";
}

std::string NameInAlter(const Json& state) {
  const std::string name = QualifiedName(state);
  return state.contains("arguments") ? fmt::format("{}({})", name, TextOf(state, "arguments"))
                                     : name;
}

}  // namespace

void TakeOutRisks(Json& before, Json& after, const DdlTrust& trust, DdlScript& script) {
  if (trust.everybody) return;
  ScriptWriter out(script);
  if (!after.is_null()) {
    if (const std::string risk = RiskOfTheWhole(after, before); !risk.empty()) {
      script.refused = fmt::format(
          "it would let {} run with the rights of pgflow's role on the target. Create it there "
          "yourself and set ddl: report for one run, or set ddl_trusts_source: true if whoever may "
          "make objects on the source may do anything on the target",
          risk);
      return;
    }
    const Json known = before;
    TakeOutParts(after, &known, trust, out);
    TakeOutDefaults(after, &known, out);
    if (TextOf(after, "object") == "domain" && !TextOf(after, "risk").empty()) {
      after.erase("default");
    }
  }
  if (before.is_null()) return;
  TakeOutParts(before, nullptr, trust, out);
  TakeOutDefaults(before, nullptr, out);
  if (TextOf(before, "object") == "domain" && !TextOf(before, "risk").empty()) {
    before.erase("default");
  }
}

bool GoesWithItsOwner(const Json& before, const Json& after, const DdlTrust& trust) {
  return !trust.everybody && IsProgram(TextOf(after.is_null() ? before : after, "object"));
}

void WriteWithItsOwner(const ObjectChange& change, const DdlScript& planned, bool populate,
                       ScriptWriter& out) {
  std::vector<std::string> together;
  for (const DdlStatement& statement : planned.statements) {
    if (!statement.best_effort) together.push_back(statement.sql);
  }
  const Json& state = change.any();
  const std::string word = AlterWord(TextOf(state, "object"));
  const bool new_owner = TextOf(change.before, "owner") != TextOf(change.after, "owner");
  if (!change.after.is_null() && (!together.empty() || new_owner)) {
    together.push_back(fmt::format("ALTER {} {} OWNER TO {}", word, NameInAlter(state),
                                   QuoteIdentifier(TextOf(state, "owner"))));
    // It runs its query as its owner from here on.
    if (populate) together.push_back("REFRESH MATERIALIZED VIEW " + QualifiedName(state));
  }
  if (!together.empty()) {
    out.Try(fmt::format("{}", fmt::join(together, ";\n")), {},
            BelongsToAnother(change.before.is_null() ? change.after : change.before),
            "on the target it belongs to another role");
  }
  for (const DdlStatement& statement : planned.statements) {
    if (statement.best_effort) out.Try(statement.sql, statement.skip_when);
  }
}

void WriteAsItsOwner(const ObjectChange& change, const DdlScript& planned, const DdlTrust& trust,
                     ScriptWriter& out) {
  const Json& state = change.any();
  // Who owned it until now may have to be asked to give it away.
  const Json& earlier = change.before.is_null() ? change.after : change.before;
  const bool as_it_is =
      trust.everybody || (FlagOf(state, "of_superuser") && FlagOf(earlier, "of_superuser"));
  const std::string risk = TextOf(state, "risk");
  if (!trust.everybody && change.before.is_null() && !risk.empty()) {
    out.Warn(
        fmt::format("it is left out: it would let {} run with the rights of pgflow's role on the "
                    "target (see ddl_trusts_source)",
                    risk));
    return;
  }
  for (const DdlStatement& statement : planned.statements) {
    if (as_it_is) {
      out.Try(statement.sql, statement.skip_when);
    } else if (statement.best_effort) {
      // Owner, privileges and comment, which only the sink may be able to set.
      const std::string of_another = DefinedObjectIsOfAnother(earlier);
      out.Try(statement.sql, statement.skip_when, of_another,
              "on the target it belongs to another role");
    } else {
      out.Try(fmt::format("SET LOCAL ROLE {};\n{};\nRESET ROLE",
                          QuoteIdentifier(TextOf(earlier, "owner")), statement.sql),
              statement.skip_when);
    }
  }
}

}  // namespace pgflow::schemas
