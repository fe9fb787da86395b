#include <algorithm>

#include <fmt/format.h>

#include "schemas/ddl/object_state.h"

namespace pgflow::schemas {
namespace {

bool SameType(const Json& a, const Json& b) {
  // By oid: a type that was given another name is the same.
  return a.at("type_oid") == b.at("type_oid") && a.at("type_modifier") == b.at("type_modifier") &&
         TextOf(a, "collation") == TextOf(b, "collation");
}

std::string CollateSql(const Json& column) {
  const std::string collation = TextOf(column, "collation");
  return collation.empty() ? collation : " COLLATE " + collation;
}

bool Names(const Json& names, const Json& column) {
  return std::ranges::any_of(names,
                             [&](const Json& name) { return name == TextOf(column, "name"); });
}

bool IsNoInherit(const Json& column) {
  return TextOf(column, "not_null_definition").find(" NO INHERIT") != std::string::npos;
}

constexpr const char* kNoNotValid =
    "servers before version 18 have no NOT NULL for rows to come alone: it is left out";
constexpr const char* kNoNoInherit =
    "servers before version 18 have no NOT NULL that heirs do without: it is left out";

// Of the sequence behind an identity column, each with `verb` in front of it.
std::string SequenceOptions(const Json& sequence, std::string_view verb) {
  return fmt::format(
      "{0}START {1} {0}INCREMENT {2} {0}MINVALUE {3} {0}MAXVALUE {4} {0}CACHE {5} {0}{6}", verb,
      sequence.at("seqstart").dump(), sequence.at("seqincrement").dump(),
      sequence.at("seqmin").dump(), sequence.at("seqmax").dump(), sequence.at("seqcache").dump(),
      sequence.at("seqcycle").get<bool>() ? "CYCLE" : "NO CYCLE");
}

// Writes the statements of one table's columns.
class ColumnsWriter {
 public:
  ColumnsWriter(const ObjectChange& change, ScriptWriter& out)
      : change_(change),
        out_(out),
        table_(QualifiedName(change.after)),
        alter_("ALTER TABLE " + table_ + " "),
        before_(ListOf(change.before, "columns")),
        after_(ListOf(change.after, "columns")),
        rows_follow_(change.phase == DdlPhase::kBeforeRows) {}

  void Drop() {
    for (const Json& column : before_) {
      if (!FlagOf(column, "local")) continue;
      if (FindByNumber(after_, column) != nullptr) continue;
      const bool only = Names(change_.kept_by_heirs, column);
      out_.Add(fmt::format("ALTER TABLE {}{} DROP COLUMN IF EXISTS {}{}", only ? "ONLY " : "",
                           table_, Name(column), change_.cascade ? " CASCADE" : ""));
    }
  }

  void Rename() {
    for (const Json& column : after_) {
      const Json* was = FindByNumber(before_, column);
      if (was == nullptr || TextOf(*was, "name") == TextOf(column, "name")) continue;
      if (!FlagOf(column, "local")) continue;
      out_.Add(fmt::format("{}RENAME COLUMN {} TO {}", alter_, Name(*was), Name(column)));
    }
  }

  void AddAndAlter() {
    for (const Json& column : after_) {
      const Json* was = FindByNumber(before_, column);
      if (was == nullptr) {
        if (FlagOf(column, "local")) Add(column);
      } else {
        Alter(*was, column);
      }
    }
  }

  // What CREATE TABLE does not say.
  void AddDetails() {
    for (const Json& column : after_) {
      const Json* was = FindByNumber(before_, column);
      AlterDetails(was == nullptr ? Json::object() : *was, column);
    }
  }

  // What waits for the rows.
  void Finish() {
    for (const Json& column : after_) {
      const Json* was = FindByNumber(before_, column);
      if (was != nullptr && SparesRows(*was, column)) {
        AddNotNull(column);
        CommentNotNull(Json::object(), column);
      }
      if (was != nullptr || column.contains("missing") || !FlagOf(column, "local")) continue;
      if (FlagOf(column, "not_null")) AddWholeNotNull(column);
      if (column.contains("generated")) continue;
      if (!TextOf(column, "default").empty()) {
        Set(column, "SET DEFAULT " + TextOf(column, "default"));
      }
      if (column.contains("identity")) Set(column, "ADD " + IdentitySql(column));
    }
  }

 private:
  static std::string Name(const Json& column) { return QuoteIdentifier(TextOf(column, "name")); }
  void Set(const Json& column, const std::string& what) {
    out_.Add(fmt::format("{}ALTER COLUMN {} {}", alter_, Name(column), what));
  }

  void Add(const Json& column) {
    const std::string fallback = TextOf(column, "default");
    std::string sql = fmt::format("{}ADD COLUMN IF NOT EXISTS {}", alter_, FieldSql(column));
    if (rows_follow_ && !column.contains("missing")) {
      // NOT NULL and the default come behind the rows.
      Json bare = column;
      bare.erase("not_null");
      bare.erase("not_null_name");
      bare.erase("not_null_definition");
      column.contains("generated") ? AddColumn(bare) : out_.Add(std::move(sql));
    } else if (const auto missing = column.find("missing"); missing != column.end()) {
      // What the source's older rows have, computed there once. Not the target's own now().
      const std::string value =
          fmt::format("{}::{}", QuoteLiteral(missing->get<std::string>()), TextOf(column, "type"));
      sql += " DEFAULT " + value + (FlagOf(column, "not_null") ? " NOT NULL" : "");
      out_.Add(std::move(sql));
      Set(column, fallback.empty() ? "DROP DEFAULT" : "SET DEFAULT " + fallback);
    } else {
      AddColumn(column);
    }
    AlterDetails(Json::object(), column);
  }

  void AddColumn(const Json& column) {
    const auto sql = [&](Dialect dialect) {
      return fmt::format("{}ADD COLUMN IF NOT EXISTS {}", alter_, ColumnSql(column, dialect));
    };
    out_.AddByVersion(sql(Dialect::kNewest),
                      {.sql = sql(Dialect::kBefore18), .loss = LossBefore18(column)});
  }

  void Alter(const Json& was, const Json& column) {
    if (!SameType(was, column) && FlagOf(column, "local")) AlterType(was, column);
    // An identity column has to be NOT NULL, and has no default.
    const bool loses_identity = was.contains("identity") && !column.contains("identity");
    if (loses_identity) AlterIdentity(was, column);
    AlterNotNull(was, column);
    if (TextOf(was, "generated") != TextOf(column, "generated")) {
      Set(column, "DROP EXPRESSION IF EXISTS");
    } else if (column.contains("generated")) {
      // Its text also changes when something in it is renamed.
      // Before version 17 nothing sets it but a change of type, which does the same here.
      if (FlagOf(column, "settable") && Differs(was, column, "default_oid")) {
        const std::string set = fmt::format("{}ALTER COLUMN {} SET EXPRESSION AS ({})", alter_,
                                            Name(column), TextOf(column, "default"));
        out_.AddByVersion(set, {.version = 170000, .sql = SameType(was, column) ? set : ""});
      }
    } else if (TextOf(was, "default") != TextOf(column, "default")) {
      const std::string fallback = TextOf(column, "default");
      Set(column, fallback.empty() ? "DROP DEFAULT" : "SET DEFAULT " + fallback);
    }
    if (!loses_identity) AlterIdentity(was, column);
    AlterDetails(was, column);
    // It steps aside for rows that it let be, and comes back behind them.
    if (rows_follow_ && SparesRows(was, column)) {
      out_.Try(fmt::format("{}DROP CONSTRAINT IF EXISTS {}", alter_,
                           QuoteIdentifier(TextOf(column, "not_null_name"))));
    }
  }

  static bool SparesRows(const Json& was, const Json& column) {
    return IsNotNullNotValid(was) && IsNotNullNotValid(column) && OwnsNotNull(column);
  }

  // One that says more than NOT NULL.
  void AddNotNull(const Json& column) {
    out_.TryByVersion(fmt::format("{}ADD CONSTRAINT {} {}", alter_,
                                  QuoteIdentifier(TextOf(column, "not_null_name")),
                                  TextOf(column, "not_null_definition")),
                      {.loss = IsNotNullNotValid(column) ? kNoNotValid : kNoNoInherit});
  }

  void AddWholeNotNull(const Json& column) {
    const std::string definition = TextOf(column, "not_null_definition");
    definition.empty() ? Set(column, "SET NOT NULL") : AddNotNull(column);
  }

  void AlterNotNull(const Json& was, const Json& column) {
    const bool is = FlagOf(column, "not_null");
    if (FlagOf(was, "not_null") && !is) {
      DropNotNull(was, column);
    } else if (is && !OwnsNotNull(column)) {
      ValidateInherited(was, column);
      // It came with a parent's, whom the target may not have as such. A partition's comes with its
      // root's, which may be told of later.
      if (!FlagOf(was, "not_null") && !IsNotNullNotValid(column) &&
          !change_.after.contains("partition_bound")) {
        out_.Add(fmt::format("{}ALTER COLUMN {} SET NOT NULL", alter_, Name(column)),
                 ColumnIsNotNull(table_, column));
      }
    } else if (is && (!FlagOf(was, "not_null") || !OwnsNotNull(was))) {
      AddWholeNotNull(column);
    } else if (is) {
      AlterNotNullDefinition(was, column);
    }
    RenameNotNull(was, column);
  }

  void DropNotNull(const Json& was, const Json& column) {
    if (Names(change_.not_null_kept_by_heirs, column)) {
      out_.Add(
          fmt::format("ALTER TABLE ONLY {} ALTER COLUMN {} DROP NOT NULL", table_, Name(column)));
      return;
    }
    Set(column, "DROP NOT NULL");
    DropNotNullOfHeirs(was, column);
  }

  // VALIDATE CONSTRAINT of an heir alone.
  void ValidateInherited(const Json& was, const Json& column) {
    const bool was_whole = FlagOf(was, "not_null") && !IsNotNullNotValid(was);
    if (was_whole || IsNotNullNotValid(column) || !column.contains("not_null_name")) return;
    const std::string name = TextOf(column, "not_null_name");
    out_.Add(fmt::format("{}VALIDATE CONSTRAINT {}", alter_, QuoteIdentifier(name)),
             fmt::format("SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conrelid = "
                         "to_regclass({}) AND contype = 'n' AND conname = {} AND NOT convalidated)",
                         QuoteLiteral(table_), QuoteLiteral(name)));
  }

  // Before version 18 heirs lose it with their parent, also where they said it themselves.
  void DropNotNullOfHeirs(const Json& was, const Json& column) {
    if (was.contains("not_null_name")) return;
    const std::string heirs = fmt::format(
        "WITH RECURSIVE heir(oid, level) AS (SELECT inhrelid, 1 FROM pg_catalog.pg_inherits WHERE "
        "inhparent = to_regclass({}) UNION SELECT i.inhrelid, h.level + 1 FROM heir h JOIN "
        "pg_catalog.pg_inherits i ON i.inhparent = h.oid) SELECT h.oid::regclass AS heir FROM heir "
        "h JOIN pg_catalog.pg_attribute a ON a.attrelid = h.oid AND a.attnotnull AND a.attname = "
        "{} ORDER BY h.level",
        QuoteLiteral(table_), QuoteLiteral(TextOf(column, "name")));
    out_.Add(
        BlockSql(fmt::format("DECLARE found record; BEGIN FOR found IN {} LOOP EXECUTE "
                             "pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', "
                             "found.heir, {}::text); END LOOP; END",
                             heirs, QuoteLiteral(TextOf(column, "name")))),
        fmt::format("SELECT NOT EXISTS ({})", heirs));
  }

  void AlterNotNullDefinition(const Json& was, const Json& column) {
    const std::string name = QuoteIdentifier(TextOf(column, "not_null_name"));
    const std::string set = fmt::format("{}ALTER COLUMN {} SET NOT NULL", alter_, Name(column));
    // It validates one that is there, and makes one where the first copy did not bring it.
    if (IsNotNullNotValid(was) && !IsNotNullNotValid(column)) out_.Add(set);
    if (IsNoInherit(was) && !IsNoInherit(column)) {
      out_.AddByVersion(fmt::format("{}ALTER CONSTRAINT {} INHERIT", alter_, name), {.sql = set});
    } else if (IsNoInherit(column) && !IsNoInherit(was)) {
      out_.AddByVersion(
          fmt::format("{}ALTER CONSTRAINT {} NO INHERIT", alter_, name),
          {.sql = fmt::format("{}ALTER COLUMN {} DROP NOT NULL", alter_, Name(column)),
           .loss = kNoNoInherit});
    }
  }

  // From version 18 a NOT NULL constraint has a name. What the target called it may be another one.
  void RenameNotNull(const Json& was, const Json& column) {
    const std::string name = TextOf(column, "not_null_name");
    if (name.empty() || TextOf(was, "not_null_name") == name) return;
    const std::string other = fmt::format(
        "FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid "
        "AND k.conkey = ARRAY[a.attnum] WHERE k.conrelid = to_regclass({}) AND k.contype = 'n' AND "
        "a.attname = {} AND k.conname <> {}",
        QuoteLiteral(table_), QuoteLiteral(TextOf(column, "name")), QuoteLiteral(name));
    out_.Try(BlockSql(fmt::format(
                 "BEGIN EXECUTE (SELECT pg_catalog.format('ALTER TABLE %s RENAME "
                 "CONSTRAINT %I TO %I', k.conrelid::regclass, k.conname, {}::text) {}); "
                 "END",
                 QuoteLiteral(name), other)),
             fmt::format("SELECT NOT EXISTS (SELECT {})", other));
  }

  void AlterType(const Json& was, const Json& column) {
    // A default of the old type may not be one of the new type.
    if (!TextOf(was, "default").empty() && !was.contains("generated")) Set(column, "DROP DEFAULT");
    std::string sql = fmt::format("TYPE {}{}", TextOf(column, "type"), CollateSql(column));
    // The table was emptied, and the source's values come as rows: what USING said is not needed.
    if (!change_.replaced.empty() && !column.contains("generated")) {
      sql += fmt::format(" USING NULL::{}", TextOf(column, "type"));
    }
    Set(column, sql);
    const std::string fallback = TextOf(column, "default");
    // Alter() sets it when the text changed; here it is the same text for another type.
    if (!fallback.empty() && fallback == TextOf(was, "default") && !column.contains("generated")) {
      Set(column, "SET DEFAULT " + fallback);
    }
  }

  void AlterIdentity(const Json& was, const Json& column) {
    // A partition's comes and goes with its root's.
    if (change_.before.contains("partition_bound") || change_.after.contains("partition_bound")) {
      return;
    }
    const std::string before = TextOf(was, "identity");
    const std::string after = TextOf(column, "identity");
    if (before.empty() && !after.empty()) {
      Set(column, "ADD " + IdentitySql(column));
    } else if (!before.empty() && after.empty()) {
      Set(column, "DROP IDENTITY IF EXISTS");
    } else if (before != after) {
      Set(column, after == "a" ? "SET GENERATED ALWAYS" : "SET GENERATED BY DEFAULT");
    }
    if (!before.empty() && !after.empty() && Differs(was, column, "sequence")) {
      const Json& old = was.at("sequence");
      const Json& now = column.at("sequence");
      // The target's own place may be outside of narrower bounds; the source's does not travel.
      const bool narrower = now.at("seqmin").get<int64_t>() > old.at("seqmin").get<int64_t>() ||
                            now.at("seqmax").get<int64_t>() < old.at("seqmax").get<int64_t>();
      Set(column, SequenceOptions(now, "SET ") + (narrower ? " RESTART" : ""));
    }
  }

  // Of an identity column's sequence, which is as its table is until somebody says otherwise.
  void WriteSequencePersistence(const Json& was, const Json& column) {
    const auto of = [](const Json& each) {
      const auto sequence = each.find("sequence");
      return sequence == each.end() ? "" : TextOf(*sequence, "persistence");
    };
    if (!column.contains("identity") || of(was) == of(column)) return;
    const std::string own = of(column);
    const bool logged = (own.empty() ? TextOf(change_.after, "persistence") : own) == "p";
    // Its name may be another one here.
    out_.Try(
        BlockSql(fmt::format("BEGIN EXECUTE 'ALTER SEQUENCE ' || "
                             "pg_catalog.pg_get_serial_sequence({}, {}) || ' SET {}'; END",
                             QuoteLiteral(table_), QuoteLiteral(TextOf(column, "name")),
                             logged ? "LOGGED" : "UNLOGGED")));
  }

  void AlterDetails(const Json& was, const Json& column) {
    if (TextOf(was, "storage") != TextOf(column, "storage")) {
      static constexpr std::string_view kNames[] = {"PLAIN", "EXTERNAL", "EXTENDED", "MAIN"};
      const std::string code =
          TextOf(column, column.contains("storage") ? "storage" : "own_storage");
      const size_t index = std::string_view("pexm").find(code);
      if (!code.empty() && index != std::string_view::npos) {
        Set(column, fmt::format("SET STORAGE {}", kNames[index]));
      }
    }
    if (TextOf(was, "compression") != TextOf(column, "compression")) {
      const std::string code = TextOf(column, "compression");
      out_.Try(fmt::format("{}ALTER COLUMN {} SET COMPRESSION {}", alter_, Name(column),
                           code == "l"   ? "lz4"
                           : code == "p" ? "pglz"
                                         : "default"));
    }
    if (TextOf(was, "statistics") != TextOf(column, "statistics")) {
      const std::string value = TextOf(column, "statistics");
      Set(column, "SET STATISTICS " + (value.empty() ? "-1" : value));
    }
    if (!was.contains("name") && IsNotNullNotValid(column) && OwnsNotNull(column)) {
      AddNotNull(column);
    }
    WriteSequencePersistence(was, column);
    WriteOptions(was, column, fmt::format("TABLE {} ALTER COLUMN {}", table_, Name(column)), out_);
    WriteComment(was, column, fmt::format("COLUMN {}.{}", table_, Name(column)), out_);
    CommentNotNull(was, column);
  }

  void CommentNotNull(const Json& was, const Json& column) {
    const auto of_not_null = [](const Json& each) {
      return Json{{"comment", TextOf(each, "not_null_comment")}};
    };
    if (!column.contains("not_null_name")) return;
    WriteComment(of_not_null(was), of_not_null(column),
                 fmt::format("CONSTRAINT {} ON {}",
                             QuoteIdentifier(TextOf(column, "not_null_name")), table_),
                 out_);
  }

  const ObjectChange& change_;
  ScriptWriter& out_;
  const std::string table_;
  const std::string alter_;
  const Json& before_;
  const Json& after_;
  const bool rows_follow_;
};

}  // namespace

std::string FieldSql(const Json& column) {
  return fmt::format("{} {}{}", QuoteIdentifier(TextOf(column, "name")), TextOf(column, "type"),
                     CollateSql(column));
}

std::string IdentitySql(const Json& column) {
  std::string sql = fmt::format("GENERATED {} AS IDENTITY",
                                TextOf(column, "identity") == "a" ? "ALWAYS" : "BY DEFAULT");
  const auto sequence = column.find("sequence");
  return sequence == column.end() ? sql : sql + " (" + SequenceOptions(*sequence, "") + ")";
}

bool OwnsNotNull(const Json& column) {
  return FlagOf(column, column.contains("not_null_local") ? "not_null_local" : "local");
}

bool IsNotNullNotValid(const Json& column) {
  return TextOf(column, "not_null_definition").find(" NOT VALID") != std::string::npos;
}

std::string LossBefore18(const Json& column) {
  if (TextOf(column, "generated") == "v") {
    return fmt::format(
        "column {}: servers before version 18 have no virtual generated columns: it becomes a "
        "stored one",
        TextOf(column, "name"));
  }
  return IsNoInherit(column) && OwnsNotNull(column)
             ? fmt::format("column {}: {}", TextOf(column, "name"), kNoNoInherit)
             : std::string();
}

std::string ColumnSql(const Json& column, Dialect dialect) {
  return FieldSql(column) + ColumnOptionsSql(column, dialect);
}

std::string ColumnOptionsSql(const Json& column, Dialect dialect) {
  std::string sql;
  const std::string expression = TextOf(column, "default");
  const std::string generated = TextOf(column, "generated");
  if (!generated.empty()) {
    const bool is_virtual = generated == "v" && dialect == Dialect::kNewest;
    sql +=
        fmt::format(" GENERATED ALWAYS AS ({}) {}", expression, is_virtual ? "VIRTUAL" : "STORED");
  } else if (!expression.empty()) {
    sql += " DEFAULT " + expression;
  }
  if (column.contains("identity")) sql += " " + IdentitySql(column);
  // ALTER TABLE alone can say it; or it comes with a parent's.
  if (!FlagOf(column, "not_null") || IsNotNullNotValid(column)) return sql;
  if (dialect == Dialect::kNewest && column.contains("not_null_local") && !OwnsNotNull(column)) {
    return sql;
  }
  if (dialect == Dialect::kBefore18 && IsNoInherit(column)) return sql;
  const std::string name = TextOf(column, "not_null_name");
  if (!name.empty()) sql += " CONSTRAINT " + QuoteIdentifier(name);
  return sql + (IsNoInherit(column) ? " NOT NULL NO INHERIT" : " NOT NULL");
}

void WriteColumns(const ObjectChange& change, ScriptWriter& out) {
  ColumnsWriter writer(change, out);
  writer.Drop();
  writer.Rename();
  writer.AddAndAlter();
}

void WriteColumnDetails(const ObjectChange& change, ScriptWriter& out) {
  ColumnsWriter(change, out).AddDetails();
}

void FinishColumns(const ObjectChange& change, ScriptWriter& out) {
  ColumnsWriter(change, out).Finish();
}

}  // namespace pgflow::schemas
