#include "tests/conformance/table_contents.h"

#include <algorithm>

#include <fmt/format.h>

namespace pgflow::tests {
namespace {

// A query for each table: its columns by name, whatever their order; values by their type's output
// function (a cast may show less, or more). Binary forms of types made by users hold OIDs, which
// differ between databases. An array, because a chain of || is as deep as the table has columns.
constexpr const char* kQueries = R"sql(
SELECT c.oid::regclass::text,
  format('SELECT array_to_string(ARRAY[%s]::text[], '', '') FROM ONLY %s ORDER BY 1',
    coalesce(string_agg(
    format('%L || format(''%%L'', t.%I)', a.attname || '=', a.attname) ||
    CASE WHEN t.oid < 16384 AND t.typsend <> 0 AND t.typtype = 'b'
      AND coalesce(e.oid, 0) < 16384 AND coalesce(e.typsend, 1) <> 0
      AND coalesce(e.typname, t.typname) NOT LIKE 'reg%'
    THEN format(' || coalesce('' \x'' || encode(%s(t.%I), ''hex''), '''')', t.typsend::regproc,
      a.attname)
    ELSE '' END, ', ' ORDER BY a.attname) FILTER (WHERE a.attnum > 0), ''),
    c.oid::regclass || ' t')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typlen = -1
WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_|^information_schema$|^pgflow$'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
GROUP BY c.oid ORDER BY 1)sql";

// The types' own settings must not hide a difference.
constexpr const char* kSession =
    "SET search_path = ''; SET extra_float_digits = 3; SET TimeZone = 'UTC'; SET bytea_output = "
    "hex;";

void Append(const std::string& what, const std::vector<std::string>& rows,
            const std::vector<std::string>& others, std::string& difference) {
  std::vector<std::string> missing;
  std::ranges::set_difference(rows, others, std::back_inserter(missing));
  for (size_t i = 0; i < missing.size() && i < 5; ++i) {
    difference += fmt::format("  only in the {}: {}\n", what, missing[i].substr(0, 2000));
  }
}

std::string Compare(const Contents& there, const Contents& here) {
  std::string difference;
  for (const auto& [table, rows] : there) {
    const auto found = here.find(table);
    if (found == here.end()) {
      difference += fmt::format("{}: not in the target\n", table);
    } else if (rows != found->second) {
      difference += fmt::format("{}: {} rows in the source, {} in the target\n", table, rows.size(),
                                found->second.size());
      Append("source", rows, found->second, difference);
      Append("target", found->second, rows, difference);
    }
  }
  return difference;
}

}  // namespace

Onlooker::Onlooker(const Database& database, const std::string& settings) {
  auto connection = database.server->Connect(database.name);
  EXPECT_TRUE(connection.ok()) << connection.status();
  if (!connection.ok()) return;
  connection_ = *std::move(connection);
  Rows(settings);
}

std::vector<std::pair<std::string, std::string>> Onlooker::Rows(const std::string& sql) {
  std::vector<std::pair<std::string, std::string>> rows;
  if (connection_ == nullptr) return rows;
  const auto result = connection_->Execute(sql);
  EXPECT_TRUE(result.ok()) << sql << "\n" << result.status();
  if (!result.ok()) return rows;
  const auto value = [&](int row, int column) {
    if (column >= result->column_count()) return std::string();
    return std::string(result->is_null(row, column) ? "NULL" : result->text(row, column));
  };
  for (int row = 0; row < result->row_count(); ++row) {
    rows.emplace_back(value(row, 0), value(row, 1));
  }
  return rows;
}

Contents ContentsOf(const Database& database) {
  Contents contents;
  Onlooker onlooker(database, kSession);
  for (const auto& [table, query] : onlooker.Rows(kQueries)) {
    std::vector<std::string>& lines = contents[table];
    for (auto& row : onlooker.Rows(query)) lines.push_back(std::move(row.first));
    std::ranges::sort(lines);
  }
  return contents;
}

std::string DifferenceOf(const Database& source, const Database& target) {
  return Compare(ContentsOf(source), ContentsOf(target));
}

std::string DifferenceOfBoth(const Database& source, const Database& target) {
  const Contents there = ContentsOf(source);
  const Contents here = ContentsOf(target);
  std::string difference = Compare(there, here);
  for (const auto& [table, rows] : here) {
    if (!there.contains(table)) difference += fmt::format("{}: not in the source\n", table);
  }
  return difference;
}

}  // namespace pgflow::tests
