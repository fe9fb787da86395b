#include "sinks/encoding/row_name.h"

#include <algorithm>

#include <fmt/format.h>

#include "sinks/encoding/json_value.h"
#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {

std::string RowName(const schemas::TableSchema& schema, std::span<const schemas::Value> row) {
  constexpr size_t kValueMax = 64;
  std::string names;
  std::string values;
  for (size_t i = 0; i < std::min(row.size(), schema.columns.size()); ++i) {
    const schemas::Column& column = schema.columns[i];
    if (!schema.IsKey(column)) continue;
    std::string text;
    if (row[i].is_null()) text = "null";
    if (!AppendValueText(row[i], FindTypeText(column), text)) text = "?";
    names += (names.empty() ? "" : ", ") + column.name;
    values += (values.empty() ? "" : ", ") + text.substr(0, kValueMax);
  }
  const std::string table = "table " + schema.table.ToString();
  return names.empty() ? table : fmt::format("{}, row ({}) = ({})", table, names, values);
}

}  // namespace pgflow::sinks
