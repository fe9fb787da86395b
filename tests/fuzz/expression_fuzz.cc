// Conditions in SQL: any text is refused with a place, or evaluates against a row.
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "expressions/expression.h"

namespace pgflow {
namespace {

schemas::TableSchema Table() {
  schemas::TableSchema table;
  table.table = {"public", "t"};
  const auto add = [&table](const char* name, postgres::Oid type) {
    schemas::Column column;
    column.name = name;
    column.type = type;
    column.identity = table.columns.empty();
    table.columns.push_back(std::move(column));
  };
  add("a", postgres::oid::kInt4);
  add("b", postgres::oid::kText);
  add("c", postgres::oid::kTimestamp);
  add("d", postgres::oid::kBool);
  return table;
}

schemas::Value TextValue(std::string_view text) {
  return {text.data(), static_cast<uint32_t>(text.size()), schemas::ValueKind::kText};
}

}  // namespace
}  // namespace pgflow

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using pgflow::expressions::Expression;
  static const pgflow::schemas::TableSchema kTable = pgflow::Table();
  const absl::StatusOr<Expression> parsed =
      Expression::Parse({reinterpret_cast<const char*>(bytes), size});
  if (!parsed.ok()) return 0;
  const absl::StatusOr<Expression> bound = parsed->Bind(kTable);
  if (!bound.ok()) return 0;
  const std::vector<pgflow::schemas::Value> row = {pgflow::TextValue("-7"),
                                                   pgflow::TextValue("a\xC3\xA4%_"),
                                                   pgflow::TextValue("2026-01-31 12:00:00"),
                                                   {}};
  pgflow::expressions::Rows rows;
  rows.old_row = row;
  rows.new_row = row;
  rows.old_is_key = true;
  rows.operation = "update";
  pgflow::expressions::Workspace workspace;
  bound->Evaluate(rows, workspace).status().IgnoreError();
  return 0;
}
