#include "schemas/ddl/ddl_script.h"

#include <utility>

#include <fmt/ranges.h>

#include "base/status.h"
#include "schemas/ddl/object_state.h"
#include "schemas/ddl/trust.h"

namespace pgflow::schemas {
namespace {

constexpr size_t kQueryShown = 400;

// Commands that say something about this server alone: who replicates what from where, and with
// which passwords.
bool IsOfThisServer(const std::string& object) {
  for (const std::string_view each :
       {"publication", "publication relation", "publication namespace", "subscription",
        "event trigger", "server", "user mapping", "foreign-data wrapper"}) {
    if (object == each) return true;
  }
  return false;
}

// One statement without what stands behind its semicolon, or nothing when there are several.
std::string SingleStatement(std::string text) {
  while (!text.empty() &&
         (std::isspace(static_cast<unsigned char>(text.back())) != 0 || text.back() == ';')) {
    text.pop_back();
  }
  // A semicolon in a literal or a body counts too: then nobody can tell without a parser.
  return text.find(';') == std::string::npos ? text : std::string();
}

void WriteStatement(const Json& message, const DdlTrust& trust, DdlScript& script) {
  ScriptWriter out(script);
  const std::string object = TextOf(message, "object");
  script.object = object;
  script.subject = fmt::format("{} {}", object, TextOf(message, "identity"));
  if (IsOfThisServer(object)) return;
  const std::string text = TextOf(message, "statement");
  const std::string single = SingleStatement(text);
  if (single.empty() || !FlagOf(message, "top_level")) {
    out.Warn(
        fmt::format("{} cannot be taken out of the command that it was part of, and is not "
                    "replicated; run it on the target yourself: {}",
                    script.tag, text.substr(0, kQueryShown)));
    return;
  }
  const std::string path = TextOf(message, "search_path");
  if (!path.empty()) {
    out.Add(
        fmt::format("SELECT pg_catalog.set_config('search_path', {}, true)", QuoteLiteral(path)));
  }
  const std::string role = TextOf(message, "role");
  if (trust.everybody) {
    out.Try(single);
  } else if (role.empty()) {
    out.Warn(fmt::format("{} is left out: an older capture does not say whose command it was",
                         script.tag));
  } else {
    // The text may end in a comment.
    out.Try(fmt::format("SET LOCAL ROLE {};\n{}\n;RESET ROLE", QuoteIdentifier(role), single));
  }
  if (!path.empty()) out.Add("SELECT pg_catalog.set_config('search_path', 'pg_catalog', true)");
}

void WriteObject(const ObjectChange& change, DdlScript& script) {
  ScriptWriter out(script);
  const std::string object = TextOf(change.any(), "object");
  if (object == "table" || object == "foreign table") return WriteTable(change, out);
  if (object == "view" || object == "materialized view") return WriteView(change, out);
  if (object == "sequence") return WriteSequence(change, out);
  if (object == "enum") return WriteEnum(change, out);
  if (object == "domain") return WriteDomain(change, out);
  if (object == "composite") return WriteComposite(change, out);
  if (object == "range") return WriteRange(change, out);
  if (object == "function" || object == "procedure") return WriteRoutine(change, out);
  if (object == "schema") return WriteSchema(change, out);
  if (object == "extension") return WriteExtension(change, out);
  if (object == "default privileges") return WriteDefaultPrivileges(change, out);
  if (IsDefinedObject(change.any())) return WriteDefinedObject(change, out);
  out.Warn(fmt::format("{} of a {} is not replicated", script.tag, object));
}

// Null: it was not there before, or is no more.
const Json& StateIn(const Json& message, const char* key) {
  static const Json null;
  const auto found = message.find(key);
  return found == message.end() ? null : *found;
}

TableName NameOf(const Json& state) {
  return {TextOf(state, "schema"), state.at("name").get<std::string>()};
}

DdlSubject SubjectOf(const Json& message) {
  DdlSubject subject;
  subject.tag = TextOf(message, "tag");
  if (message.contains("statement")) {
    subject.object = TextOf(message, "object");
    subject.name = {TextOf(message, "schema"), TextOf(message, "identity")};
    subject.name_before = subject.name;
    return subject;
  }
  const Json& before = StateIn(message, "before");
  const Json& after = StateIn(message, "after");
  if (before.is_null() && after.is_null()) {
    subject.captured = false;
    return subject;
  }
  const Json& state = after.is_null() ? before : after;
  subject.name = NameOf(state);
  subject.name_before = NameOf(before.is_null() ? after : before);
  subject.object = TextOf(state, "object");
  subject.is_table = subject.object == "table";
  if (state.contains("oid")) subject.oid = state.at("oid").get<postgres::Oid>();
  for (const Json& name : ListOf(message, "new_for")) subject.new_for.push_back(name);
  for (const Json& name : ListOf(message, "published_by")) subject.published_by.push_back(name);
  for (const Json& parent : ListOf(state, "parents")) {
    subject.parents.push_back({parent.at(0).get<std::string>(), parent.at(1).get<std::string>()});
  }
  return subject;
}

absl::Status Malformed(std::string_view why) {
  return base::MakeStatus(absl::StatusCode::kDataLoss, "a captured DDL message is malformed: {}",
                          why);
}

DdlScript Plan(const Json& message, const DdlTrust& trust);

// A query that is true when the target has it; empty: of this kind nobody asks. A table is not made
// of its definition alone, because its rows would be missing.
std::string IsThere(const Json& state) {
  const std::string object = TextOf(state, "object");
  for (const std::string_view kind : {"view", "materialized view", "sequence"}) {
    if (object == kind) return RelationExists(QualifiedName(state));
  }
  for (const std::string_view kind : {"enum", "domain", "composite", "range"}) {
    if (object == kind) return TypeExists(state);
  }
  const bool routine = object == "function" || object == "procedure";
  return routine && state.contains("whole_signature") ? RoutineExists(state) : std::string();
}

// What the first snapshot did not bring is made as it was before the command that changes it now.
void BringWhatIsMissing(const Json& message, const DdlTrust& trust, DdlScript& script) {
  const Json& before = StateIn(message, "before");
  const Json& after = StateIn(message, "after");
  if (before.is_null() || after.is_null()) return;
  const std::string was = IsThere(before);
  const std::string is = IsThere(after);
  if (was.empty() || is.empty()) return;
  Json earlier = message;
  earlier["after"] = before;
  earlier.erase("before");
  std::vector<std::string> together;
  for (const DdlStatement& statement : Plan(earlier, trust).statements) {
    together.push_back(statement.sql);
  }
  if (together.empty()) return;
  ScriptWriter(script).Try(fmt::format("{}", fmt::join(together, ";\n")),
                           fmt::format("SELECT ({}) OR ({})", was, is));
}

DdlScript Plan(const Json& message, const DdlTrust& trust) {
  DdlScript script;
  script.tag = TextOf(message, "tag");
  if (message.contains("statement")) {
    WriteStatement(message, trust, script);
    return script;
  }
  const DdlSubject subject = SubjectOf(message);
  script.object = subject.object;
  script.name = subject.name;
  script.subject =
      fmt::format("{} {}", subject.object,
                  subject.name.schema.empty() ? subject.name.name : subject.name.ToString());
  // Whoever chooses the path chooses what others' functions call: who may do anything anyway.
  if (trust.everybody || FlagOf(message, "by_superuser")) {
    std::vector<std::string> schemas;
    for (const Json& name : ListOf(message, "schemas")) {
      if (name.is_string()) schemas.push_back(QuoteIdentifier(name.get<std::string>()));
    }
    script.search_path = fmt::format("{}", fmt::join(schemas, ", "));
  }
  const std::string phase = TextOf(message, "phase");
  Json before = StateIn(message, "before");
  Json after = StateIn(message, "after");
  TakeOutRisks(before, after, trust, script);
  if (!script.refused.empty()) return script;
  const bool owned = GoesWithItsOwner(before, after, trust);
  const bool populate = owned && before.is_null() && FlagOf(after, "populated");
  if (populate) after["populated"] = false;
  const ObjectChange change{.before = before,
                            .after = after,
                            .replaced = ListOf(message, "replaced"),
                            .kept_by_heirs = ListOf(message, "kept_by_heirs"),
                            .not_null_kept_by_heirs = ListOf(message, "not_null_kept_by_heirs"),
                            .tag = script.tag,
                            .cascade = FlagOf(message, "cascade"),
                            .phase = phase == "before_rows"  ? DdlPhase::kBeforeRows
                                     : phase == "after_rows" ? DdlPhase::kAfterRows
                                                             : DdlPhase::kWhole};
  BringWhatIsMissing(message, trust, script);
  const bool defined = IsDefinedObject(change.any());
  // Its server may be this one's alone.
  const bool foreign = subject.object == "foreign table";
  if (!owned && !defined && !foreign) {
    WriteObject(change, script);
    return script;
  }
  DdlScript planned;
  WriteObject(change, planned);
  ScriptWriter out(script);
  for (std::string& warning : planned.warnings) out.Warn(std::move(warning));
  if (foreign) {
    for (DdlStatement& statement : planned.statements) out.Try(std::move(statement));
  } else if (defined) {
    WriteAsItsOwner(change, planned, trust, out);
  } else {
    WriteWithItsOwner(change, planned, populate, out);
  }
  return script;
}

}  // namespace

absl::StatusOr<DdlSubject> ReadDdlSubject(std::string_view message) {
  try {
    return SubjectOf(Json::parse(message));
  } catch (const Json::exception& error) {
    return Malformed(error.what());
  }
}

absl::StatusOr<std::string> WithoutBefore(std::string_view message) {
  try {
    Json json = Json::parse(message);
    json["before"] = nullptr;
    return json.dump();
  } catch (const Json::exception& error) {
    return Malformed(error.what());
  }
}

absl::StatusOr<DdlScript> PlanDdl(std::string_view message, const DdlTrust& trust) {
  try {
    const Json json = Json::parse(message);
    if (json.contains("error")) {
      return base::MakeStatus(
          absl::StatusCode::kFailedPrecondition,
          "the source could not capture {}: {}. The command was: {}. Bring the target in line by "
          "hand, or run `pgflow destroy` and copy again",
          TextOf(json, "tag"), TextOf(json, "error"), TextOf(json, "query").substr(0, kQueryShown));
    }
    DdlScript script = Plan(json, trust);
    if (script.object.empty()) return Malformed("it names no object");
    return script;
  } catch (const Json::exception& error) {
    return Malformed(error.what());
  }
}

}  // namespace pgflow::schemas
