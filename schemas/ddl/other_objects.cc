#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "schemas/ddl/object_state.h"

namespace pgflow::schemas {
namespace {

std::string SequenceSql(const Json& sequence) {
  return fmt::format("AS {} INCREMENT {} MINVALUE {} MAXVALUE {} START {} CACHE {} {}",
                     TextOf(sequence, "type"), sequence.at("increment").dump(),
                     sequence.at("minimum").dump(), sequence.at("maximum").dump(),
                     sequence.at("start").dump(), sequence.at("cache").dump(),
                     FlagOf(sequence, "cycle") ? "CYCLE" : "NO CYCLE");
}

int64_t Number(const Json& sequence, const char* key) { return sequence.at(key).get<int64_t>(); }

std::string OwnedBy(const Json& sequence) {
  const auto owner = sequence.find("owned_by");
  if (owner == sequence.end()) return "NONE";
  return QualifiedPair(*owner) + "." + QuoteIdentifier(owner->at(2).get<std::string>());
}

std::string Upper(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string Signature(const Json& routine) {
  return fmt::format("{}({})", QualifiedName(routine), TextOf(routine, "arguments"));
}

}  // namespace

void WriteSequence(const ObjectChange& change, ScriptWriter& out) {
  if (WriteDrop(change, "SEQUENCE", QualifiedName(change.before), out)) return;
  const std::string name = QualifiedName(change.after);
  if (change.before.is_null()) {
    out.Add(fmt::format("CREATE {}SEQUENCE {} {}",
                        TextOf(change.after, "persistence") == "u" ? "UNLOGGED " : "", name,
                        SequenceSql(change.after)),
            RelationExists(name));
  } else {
    WriteRename(change, "SEQUENCE", out);
    if (SequenceSql(change.before) != SequenceSql(change.after)) {
      // The target's own place may be outside of narrower bounds; the source's does not travel.
      const bool narrower = Number(change.after, "minimum") > Number(change.before, "minimum") ||
                            Number(change.after, "maximum") < Number(change.before, "maximum");
      out.Add(fmt::format("ALTER SEQUENCE {} {}{}", name, SequenceSql(change.after),
                          narrower ? " RESTART" : ""));
    }
  }
  const std::string was_owned = change.before.is_null() ? "NONE" : OwnedBy(change.before);
  if (was_owned != OwnedBy(change.after)) {
    const auto owner = change.after.find("owned_by");
    out.Add(fmt::format("ALTER SEQUENCE {} OWNED BY {}", name, OwnedBy(change.after)),
            // A table that is not part of the pipeline.
            owner == change.after.end() ? std::string()
                                        : fmt::format("SELECT to_regclass({}) IS NULL",
                                                      QuoteLiteral(QualifiedPair(*owner))));
  }
  WriteRights(change, "SEQUENCE " + name, out);
}

void WriteRoutine(const ObjectChange& change, ScriptWriter& out) {
  const std::string kind = Upper(TextOf(change.any(), "object"));
  if (WriteDrop(change, kind, Signature(change.before), out)) return;
  if (!change.before.is_null()) {
    // The argument names may have changed with the definition; the types cannot.
    Json at = change.before;
    const std::string schema = TextOf(change.after, "schema");
    if (TextOf(at, "schema") != schema) {
      out.Add(
          fmt::format("ALTER {} {} SET SCHEMA {}", kind, Signature(at), QuoteIdentifier(schema)));
      at["schema"] = schema;
    }
    if (TextOf(at, "name") != TextOf(change.after, "name")) {
      out.Add(fmt::format("ALTER {} {} RENAME TO {}", kind, Signature(at),
                          QuoteIdentifier(TextOf(change.after, "name"))));
    }
  }
  if (change.before.is_null() || Differs(change.before, change.after, "definition")) {
    out.Add(TextOf(change.after, "definition"));  // CREATE OR REPLACE.
  }
  WriteRights(change, kind + " " + Signature(change.after), out);
}

void WriteSchema(const ObjectChange& change, ScriptWriter& out) {
  if (WriteDrop(change, "SCHEMA", QualifiedName(change.before), out)) return;
  const std::string name = QualifiedName(change.after);
  if (change.before.is_null()) {
    out.Add(fmt::format("CREATE SCHEMA IF NOT EXISTS {}", name));
  } else if (TextOf(change.before, "name") != TextOf(change.after, "name")) {
    out.Add(fmt::format("ALTER SCHEMA {} RENAME TO {}", QualifiedName(change.before), name));
  }
  WriteRights(change, "SCHEMA " + name, out);
}

void WriteExtension(const ObjectChange& change, ScriptWriter& out) {
  const std::string name = QuoteIdentifier(TextOf(change.any(), "name"));
  if (WriteDrop(change, "EXTENSION", name, out)) return;
  if (change.before.is_null()) {
    out.Add(fmt::format("CREATE EXTENSION IF NOT EXISTS {} WITH SCHEMA {} CASCADE", name,
                        QuoteIdentifier(TextOf(change.after, "schema"))));
    WriteComment(change.before, change.after, "EXTENSION " + name, out);
    return;
  }
  WriteComment(change.before, change.after, "EXTENSION " + name, out);
  if (Differs(change.before, change.after, "version")) {
    // The versions that are installed on the target are its own.
    out.Try(fmt::format("ALTER EXTENSION {} UPDATE", name));
  }
  if (Differs(change.before, change.after, "schema")) {
    out.Try(fmt::format("ALTER EXTENSION {} SET SCHEMA {}", name,
                        QuoteIdentifier(TextOf(change.after, "schema"))));
  }
}

}  // namespace pgflow::schemas
