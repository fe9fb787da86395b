// TableFilter: which tables a pipeline chose, by globs over "schema.table".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "schemas/table_schema.h"

namespace pgflow::schemas {

// A value; immutable after Make. A pattern is schema.table; `*` and `?` match any characters and
// any one, also a dot. Case counts, as in the catalog. A "quoted" part is taken literally:
// public."odd.name*".
class TableFilter {
 public:
  // kInvalidArgument: a pattern without a schema, or with an open quote. An empty `include` means
  // every table.
  static absl::StatusOr<TableFilter> Make(const std::vector<std::string>& include,
                                          const std::vector<std::string>& exclude);

  bool Matches(const TableName& table) const { return Includes(table) && !Excludes(table); }
  bool Includes(const TableName& table) const;
  bool Excludes(const TableName& table) const;
  // Somebody wrote some; without, every table is chosen.
  bool has_patterns() const { return !include_.empty() || !exclude_.empty(); }
  // False when no table of that schema can be chosen.
  bool MayChooseIn(std::string_view schema) const;
  // The patterns as regular expressions of PostgreSQL, on schema || E'\x1f' || name.
  std::vector<std::string> IncludeExpressions() const;
  std::vector<std::string> ExcludeExpressions() const;
  // The include patterns that match none of `tables`, as written: likely a misspelt name.
  std::vector<std::string> PatternsWithout(const std::vector<TableName>& tables) const;

 private:
  struct Pattern {
    std::string written;
    std::string schema;  // Compiled: wildcards as control characters.
    std::string name;

    bool Matches(const TableName& table) const;
    std::string Expression() const;
  };

  static absl::StatusOr<Pattern> Compile(const std::string& written);

  std::vector<Pattern> include_;
  std::vector<Pattern> exclude_;
};

}  // namespace pgflow::schemas
