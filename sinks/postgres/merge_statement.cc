#include "sinks/postgres/merge_statement.h"

#include <fmt/format.h>

#include "base/status.h"
#include "sinks/postgres/copy_rows.h"

namespace pgflow::sinks {
namespace {

void Append(std::string& list, std::string_view separator, const std::string& item) {
  if (!list.empty()) list += separator;
  list += item;
}

}  // namespace

absl::StatusOr<std::string> MergeSql(const TableBinding& binding, const std::string& stage) {
  std::string match;  // Of the target's row and the stage's.
  std::string there;  // Of the stage's row and one that was found.
  std::string key;
  std::string set;
  std::string renumbered;
  for (size_t i = 0; i < binding.columns.size(); ++i) {
    const ColumnBinding& column = binding.columns[i];
    const std::string name = schemas::QuoteIdentifier(binding.column_name(i));
    if (binding.schema.columns[i].primary_key > 0) {
      const TargetColumn& target = *column.target;
      const std::string equals = " " + target.equals_operator + " ";
      const std::string staged = target.Compared("s." + name);
      Append(match, " AND ", target.Compared("t." + name) + equals + staged);
      Append(there, " AND ", target.Compared("there." + name) + equals + staged);
      Append(key, ", ", "s." + name);
    } else if (column.written && column.target->identity_always) {
      Append(renumbered, " OR ", fmt::format("t.{0} <> s.{0}", name));
    } else if (column.written) {
      Append(set, ", ", fmt::format("{0} = s.{0}", name));
    }
  }
  if (match.empty()) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "table {}: it has no primary key to resume with; start it over",
                            binding.schema.table.ToString());
  }
  const std::string table = fmt::format("{}{} t", binding.target->only(), binding.sql_name);
  std::string sql;
  if (!renumbered.empty()) {
    // No UPDATE can set GENERATED ALWAYS AS IDENTITY.
    sql = fmt::format("DELETE FROM {} USING {} s WHERE {} AND ({});", table, stage, match,
                      renumbered);
  }
  const std::string found =
      set.empty() ? fmt::format("SELECT {} FROM {}, {} s WHERE {}", key, table, stage, match)
                  : fmt::format("UPDATE {} SET {} FROM {} s WHERE {} RETURNING {}", table, set,
                                stage, match, key);
  // One look at the table for both: it may be large and have no index yet.
  return sql + fmt::format(
                   "WITH there AS ({}) INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM "
                   "{} s WHERE NOT EXISTS (SELECT FROM there WHERE {})",
                   found, binding.sql_name, WrittenColumns(binding), WrittenColumns(binding), stage,
                   there);
}

}  // namespace pgflow::sinks
