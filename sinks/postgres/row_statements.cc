#include "sinks/postgres/row_statements.h"

#include <absl/status/status.h>
#include <fmt/format.h>

#include "sinks/postgres/column_fit.h"

namespace pgflow::sinks {
namespace {

constexpr char kUnchangedBit = 1;
constexpr char kNullBit = 2;
constexpr char kBase = '0';

class Builder {
 public:
  Builder(const TableBinding& binding, std::string_view marks) : binding_(binding), marks_(marks) {}

  bool Unchanged(size_t column) const { return ((Mark(column) - kBase) & kUnchangedBit) != 0; }
  bool WasNull(size_t column) const { return ((Mark(column) - kBase) & kNullBit) != 0; }
  std::string Quoted(size_t column) const {
    return schemas::QuoteIdentifier(binding_.column_name(column));
  }

  std::string Parameter(bool before, size_t column) {
    statement.parameters.push_back({before, static_cast<uint32_t>(column)});
    statement.types.push_back(binding_.columns[column].target->type);
    return fmt::format("${}", statement.parameters.size());
  }

  // "(a, b) OVERRIDING SYSTEM VALUE VALUES ($1, $2)"
  std::string Values() {
    std::string names;
    std::string values;
    for (size_t i = 0; i < binding_.columns.size(); ++i) {
      if (!binding_.columns[i].written) continue;
      if (!names.empty()) names += ", ", values += ", ";
      names += Quoted(i);
      values += Parameter(false, i);
    }
    if (names.empty()) return "DEFAULT VALUES";
    return fmt::format("({}) {}VALUES ({})", names,
                       binding_.has_identity_always ? "OVERRIDING SYSTEM VALUE " : "", values);
  }

  // "a = $1, b = $2"; empty when there is nothing to set.
  std::string Assignments(bool key_too) {
    std::string set;
    for (size_t i = 0; i < binding_.columns.size(); ++i) {
      const ColumnBinding& column = binding_.columns[i];
      if (!column.written || column.target->identity_always || Unchanged(i)) continue;
      if (column.is_key && !key_too) continue;
      if (!set.empty()) set += ", ";
      set += fmt::format("{} = {}", Quoted(i), Parameter(false, i));
    }
    return set;
  }

  static bool IsDomain(const TargetColumn& target) {
    return target.base_type != 0 && target.base_type != target.type;
  }

  // A parameter to compare the column with: what the column would make of the value. Not of a
  // domain's type: a check that came later as NOT VALID would refuse an old value.
  std::string Compared(bool before, size_t column) {
    const TargetColumn& target = *binding_.columns[column].target;
    const std::string parameter = Parameter(before, column);
    if (IsDomain(target)) statement.types.back() = target.base_type;
    const bool rounds = target.type_modifier >= 0 && RoundsToModifier(target);
    return rounds ? fmt::format("{}::{}", parameter, target.type_sql) : parameter;
  }

  std::string KeyMatch(bool before) {
    std::string match;
    for (uint32_t column : binding_.key) {
      if (!match.empty()) match += " AND ";
      const TargetColumn& target = *binding_.columns[column].target;
      match += fmt::format("{} {} {}", target.Compared(Quoted(column)), target.equals_operator,
                           target.Compared(Compared(before, column)));
    }
    return match;
  }

  // Deletes the row and inserts it with its new values; those that are unchanged, and with
  // `only_identities` all but those that an UPDATE cannot set, are its own.
  std::string Reinsert(std::string match, bool only_identities) {
    std::string names;
    std::string values;
    std::string differs;
    for (size_t i = 0; i < binding_.columns.size(); ++i) {
      const ColumnBinding& column = binding_.columns[i];
      if (!column.written) continue;
      const bool own = only_identities ? !column.renumbered : Unchanged(i);
      const std::string value = own ? "old." + Quoted(i) : Parameter(false, i);
      if (!names.empty()) names += ", ", values += ", ";
      names += Quoted(i);
      values += value;
      if (!own && only_identities) {
        differs += fmt::format("{}{} <> {}", differs.empty() ? "" : " OR ", Quoted(i), value);
      }
    }
    if (!differs.empty()) match += fmt::format(" AND ({})", differs);
    return fmt::format(
        "WITH old AS (DELETE FROM {}{} WHERE {} RETURNING *) INSERT INTO {} ({}) OVERRIDING SYSTEM "
        "VALUE SELECT {} FROM old",
        binding_.target->only(), binding_.sql_name, match, binding_.sql_name, names, values);
  }

  // One row whose columns have the very bytes of the old row; equal rows may be many. The casts
  // make it one comparison of records; without them it is one of each pair of columns. `moved`: of
  // the old row with what a foreign key has set in it. In a column whose collation takes several
  // texts for one, the target may have another of them: it counts if none has the very bytes.
  std::string FindWholeRow(bool moved) {
    std::string filter;
    Pairs exact;
    Pairs alike;
    for (size_t i = 0; i < binding_.columns.size(); ++i) {
      if (!binding_.columns[i].written) continue;
      const TargetColumn& target = *binding_.columns[i].target;
      const bool is_moved = moved && binding_.columns[i].is_moved;
      const std::string name = Quoted(i);
      const std::string value = Compared(!is_moved, i);
      const bool was_null = !is_moved && WasNull(i);
      const bool has_equals = !target.deterministic && !is_moved && !was_null;
      (has_equals ? alike : exact)
          .Add(IsDomain(target) ? fmt::format("{}::{}", name, target.base_type_name) : name, value);
      // An index may find the row by these.
      if (is_moved) continue;
      if (was_null) {
        filter += name + " IS NULL AND ";
      } else if (has_equals || IsBytewise(target)) {
        filter += fmt::format("{} = {} AND ", target.Compared(name), target.Compared(value));
      }
    }
    return fmt::format("SELECT {} FROM {}{} WHERE {}{}{} LIMIT 1", RowId(), binding_.target->only(),
                       binding_.sql_name, filter, exact.Same(),
                       alike.names.empty() ? "" : fmt::format(" ORDER BY {} DESC", alike.Same()));
  }

  std::string WholeRowMatch() {
    return fmt::format("{} = ({})", binding_.target->kind == 'p' ? "(tableoid, ctid)" : "ctid",
                       FindWholeRow(false));
  }

  // The row that a foreign key has given its new key; else the old one. In this order: that a row
  // has the new key can have no other reason, while a row that has the old one may have got it from
  // the same statement. Of rows without a key nothing of the kind is known.
  std::string MovedRowMatch() {
    if (binding_.key_kind == KeyKind::kWholeRow) {
      const std::string old_row = FindWholeRow(false);
      const std::string moved_row = FindWholeRow(true);
      return fmt::format(
          "({0}) = (SELECT {0} FROM ((SELECT 1 AS n, o.* FROM ({1}) o) UNION ALL (SELECT 2, m.* "
          "FROM ({2}) m)) AS found ORDER BY n LIMIT 1)",
          RowId(), old_row, moved_row);
    }
    const std::string has_new = KeyMatch(false);
    const std::string has_old = KeyMatch(true);
    return fmt::format("({0} OR ({1} AND NOT EXISTS (SELECT FROM {2}{3} WHERE {0})))",
                       "(" + has_new + ")", has_old, binding_.target->only(), binding_.sql_name);
  }

  std::string OldRowMatch() {
    return binding_.key_kind == KeyKind::kWholeRow ? WholeRowMatch() : KeyMatch(true);
  }

  RowStatement statement;

 private:
  // Columns, and values that they are compared with byte by byte.
  struct Pairs {
    std::string names;
    std::string values;

    void Add(const std::string& name, const std::string& value) {
      if (!names.empty()) names += ", ", values += ", ";
      names += name;
      values += value;
    }
    std::string Same() const {
      return fmt::format("ROW({})::record OPERATOR(pg_catalog.*=) ROW({})::record", names, values);
    }
  };

  std::string_view RowId() const {
    return binding_.target->kind == 'p' ? "tableoid, ctid" : "ctid";
  }
  char Mark(size_t column) const { return column < marks_.size() ? marks_[column] : kBase; }

  const TableBinding& binding_;
  std::string_view marks_;
};

std::string KeyColumns(const TableBinding& binding, const Builder& builder) {
  std::string key;
  for (const uint32_t column : binding.key)
    key += (key.empty() ? "" : ", ") + builder.Quoted(column);
  return key;
}

std::string UpsertSql(const TableBinding& binding, Builder& builder) {
  std::string sql = fmt::format("INSERT INTO {} {}", binding.sql_name, builder.Values());
  if (binding.key_kind != KeyKind::kUnique) return sql;
  std::string set;
  for (size_t i = 0; i < binding.columns.size(); ++i) {
    const ColumnBinding& column = binding.columns[i];
    const std::string name = builder.Quoted(i);
    if (column.is_key || !column.written || column.target->identity_always) continue;
    set += fmt::format("{}{} = EXCLUDED.{}", set.empty() ? "" : ", ", name, name);
  }
  return fmt::format("{} ON CONFLICT ({}) {}", sql, KeyColumns(binding, builder),
                     set.empty() ? "DO NOTHING" : "DO UPDATE SET " + set);
}

// An UPDATE of the row that has the key, when the INSERT finds one: it touches no row, or that.
std::string InsertOrTakeSql(const TableBinding& binding, Builder& builder) {
  const std::string insert =
      fmt::format("WITH inserted AS (INSERT INTO {} {} ON CONFLICT ({}) DO NOTHING RETURNING 1) ",
                  binding.sql_name, builder.Values(), KeyColumns(binding, builder));
  const std::string set = builder.Assignments(false);
  if (set.empty()) return insert + "SELECT WHERE NOT EXISTS (SELECT FROM inserted)";
  return fmt::format("{}UPDATE {}{} SET {} WHERE {} AND NOT EXISTS (SELECT FROM inserted)", insert,
                     binding.target->only(), binding.sql_name, set, builder.KeyMatch(false));
}

std::string UpdateSql(const TableBinding& binding, Builder& builder, bool key_too,
                      bool moved = false) {
  const std::string set = builder.Assignments(key_too);
  const std::string match = moved ? builder.MovedRowMatch() : builder.OldRowMatch();
  if (set.empty()) {
    // Nothing to write, but the row must be there.
    return fmt::format("SELECT FROM {}{} WHERE {}", binding.target->only(), binding.sql_name,
                       match);
  }
  return fmt::format("UPDATE {}{} SET {} WHERE {}", binding.target->only(), binding.sql_name, set,
                     match);
}

}  // namespace

void AppendSignature(const TableBinding& binding, RowShape shape, const DecodedChange& change,
                     std::string& to) {
  to.push_back(static_cast<char>(shape));
  const bool update = shape == RowShape::kUpdate || shape == RowShape::kUpdateKey ||
                      shape == RowShape::kUpdateMoved || shape == RowShape::kUpdateIfFree ||
                      shape == RowShape::kReinsert;
  const bool marks_unchanged = update && change.has_unchanged;
  const bool marks_null =
      (update || shape == RowShape::kDelete) && binding.key_kind == KeyKind::kWholeRow;
  if (!marks_unchanged && !marks_null) return;
  for (size_t i = 0; i < binding.columns.size(); ++i) {
    char mark = kBase;
    if (marks_unchanged && change.after[i].is_unchanged()) mark |= kUnchangedBit;
    if (marks_null && change.before[i].is_null()) mark |= kNullBit;
    to.push_back(mark);
  }
}

RowStatement BuildRowStatement(const TableBinding& binding, std::string_view signature) {
  Builder builder(binding, signature.substr(1));
  std::string sql;
  const std::string_view only = binding.target->only();
  switch (RowShape{signature.front()}) {
    case RowShape::kInsert:
      sql = fmt::format("INSERT INTO {} {}", binding.sql_name, builder.Values());
      break;
    case RowShape::kUpsert:
      sql = UpsertSql(binding, builder);
      break;
    case RowShape::kUpdate:
      sql = UpdateSql(binding, builder, false);
      break;
    case RowShape::kUpdateKey:
      sql = UpdateSql(binding, builder, true);
      break;
    case RowShape::kUpdateMoved:
      sql = UpdateSql(binding, builder, true, true);
      break;
    case RowShape::kDelete:
      sql = fmt::format("DELETE FROM {}{} WHERE {}", only, binding.sql_name, builder.OldRowMatch());
      break;
    case RowShape::kInsertIfFree:
      sql = fmt::format("INSERT INTO {} {} ON CONFLICT DO NOTHING", binding.sql_name,
                        builder.Values());
      break;
    case RowShape::kInsertOrTake:
      sql = InsertOrTakeSql(binding, builder);
      break;
    case RowShape::kFind:
      sql =
          fmt::format("SELECT FROM {}{} WHERE {}", only, binding.sql_name, builder.KeyMatch(true));
      break;
    case RowShape::kUpdateIfFree:
      sql = fmt::format("{} AND NOT EXISTS (SELECT FROM {}{} WHERE {})",
                        UpdateSql(binding, builder, true), only, binding.sql_name,
                        builder.KeyMatch(false));
      break;
    case RowShape::kReinsert:
      sql = builder.Reinsert(builder.OldRowMatch(), false);
      break;
    case RowShape::kRenumber:
      sql = builder.Reinsert(builder.KeyMatch(false), true);
      break;
    case RowShape::kMakeRoom: {
      const std::string taken = builder.KeyMatch(false);
      sql = fmt::format("DELETE FROM {}{} WHERE {} AND EXISTS (SELECT FROM {}{} WHERE {})", only,
                        binding.sql_name, taken, only, binding.sql_name, builder.KeyMatch(true));
      break;
    }
  }
  builder.statement.sql = std::move(sql);
  return std::move(builder.statement);
}

std::string TruncateSql(const std::vector<const TableBinding*>& tables, bool restart_identity,
                        bool cascade) {
  std::string sql = "TRUNCATE TABLE ";
  std::string oids;
  for (size_t i = 0; i < tables.size(); ++i) {
    if (i > 0) sql += ", ", oids += ",";
    sql += fmt::format("{}{}", tables[i]->target->only(), tables[i]->sql_name);
    oids += fmt::format("{}", tables[i]->target->oid);
  }
  const std::string options =
      fmt::format("{}{}", restart_identity ? " RESTART IDENTITY" : "", cascade ? " CASCADE" : "");
  if (tables.size() == 1 || cascade) return sql + options;
  // The source names partitions, whose foreign keys are their root's here: it goes with them, when
  // all of its partitions do.
  return fmt::format(
      "DO $pgflow$ DECLARE roots text; BEGIN SELECT string_agg(DISTINCT ', ' || "
      "a.relid::regclass::text, '') INTO roots FROM unnest('{{{0}}}'::oid[]) t CROSS JOIN LATERAL "
      "pg_partition_ancestors(t) a WHERE a.relid <> t AND EXISTS (SELECT FROM pg_constraint WHERE "
      "conrelid = a.relid AND contype = 'f') AND NOT EXISTS (SELECT FROM "
      "pg_partition_tree(a.relid) l WHERE l.isleaf AND l.relid <> ALL ('{{{0}}}'::oid[])); EXECUTE "
      "{1} || coalesce(roots, '') || {2}; END $pgflow$",
      oids, schemas::QuoteLiteral(sql), schemas::QuoteLiteral(options));
}

}  // namespace pgflow::sinks
