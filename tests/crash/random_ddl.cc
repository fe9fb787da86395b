#include "tests/crash/random_ddl.h"

#include <algorithm>

#include <fmt/format.h>

namespace pgflow::tests {

std::vector<Column> ColumnsOf(const Database& database, const std::string& table, int fixed) {
  std::vector<Column> columns;
  const auto rows = database.server->Query(
      fmt::format("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE "
                  "attrelid = '{}'::regclass AND attnum > {} AND NOT attisdropped ORDER BY attnum",
                  table, fixed),
      database.name);
  EXPECT_TRUE(rows.ok()) << rows.status();
  if (!rows.ok()) return columns;
  for (const auto& row : *rows) columns.push_back({*row[0], *row[1]});
  return columns;
}

namespace {

// Fewer than there are names: one is always free.
constexpr size_t kColumnsMax = 7;
const std::vector<std::string>& Names() {
  static const std::vector<std::string> names = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
  return names;
}

}  // namespace

std::string RandomDdl::FreeName(const std::vector<Column>& taken) {
  while (true) {
    const std::string& name = OneOf(Names());
    if (std::ranges::find(taken, name, &Column::name) == taken.end()) return name;
  }
}

std::string RandomDdl::Value(const std::string& type) {
  const int n = Draw(1, 100000);
  if (type == "integer") return std::to_string(n);
  if (type == "date") return fmt::format("'2026-01-{:02}'", 1 + n % 28);
  return n % 5 == 0 ? fmt::format("repeat('x{}', 700)", n) : fmt::format("'v{}'", n);
}

std::string RandomDdl::NewColumn(const std::string& name) {
  const std::string type = OneOf(std::vector<std::string>{"text", "integer", "date"});
  if (Chance(40)) return fmt::format("ADD COLUMN {} {}", name, type);
  const std::string value = type == "text" ? fmt::format("'new {}'", name) : Value(type);
  return fmt::format("ADD COLUMN {} {} DEFAULT {}", name, type, value);
}

std::vector<std::string> RandomDdl::Ddl(const std::string& table, int fixed) {
  const std::vector<Column> columns = ColumnsOf(source_, table, fixed);
  const std::string alter = "ALTER TABLE " + table + " ";
  const std::string free = FreeName(columns);
  if (columns.empty()) return {alter + NewColumn(free)};
  const Column one = OneOf(columns);
  const Column two = OneOf(columns);
  const std::string rename = alter + "RENAME COLUMN ";
  switch (Draw(1, 9)) {
    case 1:
      return {rename + one.name + " TO " + free};
    case 2:
      if (one.name == two.name) return {rename + one.name + " TO " + free};
      return {rename + one.name + " TO swap", rename + two.name + " TO " + one.name,
              rename + "swap TO " + two.name};
    case 3:
      if (columns.size() >= kColumnsMax) return {alter + "DROP COLUMN " + one.name};
      return {rename + one.name + " TO " + free, alter + NewColumn(one.name)};
    case 4:
      return {alter + "DROP COLUMN " + one.name};
    case 5:
      return {alter + "DROP COLUMN " + one.name, alter + NewColumn(one.name)};
    case 6:
      return {alter + "DROP COLUMN " + one.name + ", ADD COLUMN " + one.name + " " + one.type};
    case 7:
      return {rename + one.name + " TO swap", rename + "swap TO " + free};
    case 8:
      if (one.type == "text") {
        return {alter + "ALTER COLUMN " + one.name + " DROP DEFAULT, ALTER COLUMN " + one.name +
                " TYPE integer USING length(" + one.name + ")"};
      }
      return {alter + "ALTER COLUMN " + one.name + " TYPE text"};
    default:
      if (columns.size() >= kColumnsMax) return {alter + "DROP COLUMN " + one.name};
      return {alter + NewColumn(free)};
  }
}

std::string RandomDdl::ChangeRows(const std::string& table, int fixed) {
  const std::vector<Column> columns = ColumnsOf(source_, table, fixed);
  const int id = Draw(1, 60);
  if (Chance(8)) {
    return fmt::format("TRUNCATE {0}; INSERT INTO {0} (id) SELECT generate_series(1, 20)", table);
  }
  if (Chance(20)) return fmt::format("DELETE FROM {} WHERE id = {}", table, id);
  if (columns.empty() || Chance(30)) {
    std::string names = "id";
    std::string values = std::to_string(next_id_++);
    for (const Column& column : columns) {
      names += ", " + column.name;
      values += ", " + Value(column.type);
    }
    return fmt::format("INSERT INTO {} ({}) VALUES ({})", table, names, values);
  }
  const Column& one = OneOf(columns);
  if (Chance(10)) {
    return fmt::format("UPDATE {0} SET id = {1} WHERE id = {2}", table, next_id_++, id);
  }
  return fmt::format("UPDATE {} SET {} = {} WHERE id BETWEEN {} AND {}", table, one.name,
                     Value(one.type), id, id + Draw(0, 3));
}

void RandomDdl::Act(const std::string& table, int fixed) {
  if (Chance(40)) {
    std::string all = "BEGIN;" + ChangeRows(table, fixed) + ";";
    if (Chance(20)) {
      all += "SAVEPOINT undone;";
      for (const std::string& sql : Ddl(table, fixed)) all += sql + ";";
      all += "ROLLBACK TO undone;";
    }
    for (const std::string& sql : Ddl(table, fixed)) all += sql + ";";
    // The columns that it leaves are not known before it: these suit any.
    if (Chance(50)) {
      all += fmt::format("DELETE FROM {} WHERE id = {};", table, Draw(1, 60));
      all += fmt::format("INSERT INTO {} (id) VALUES ({});", table, next_id_++);
    }
    source_.Execute(all + "COMMIT");
  } else {
    for (const std::string& sql : Ddl(table, fixed)) {
      source_.Execute(sql);
      if (Chance(50)) source_.Execute(ChangeRows(table, fixed));
    }
  }
  for (int i = Draw(0, 3); i > 0; --i) source_.Execute(ChangeRows(table, fixed));
}

}  // namespace pgflow::tests
