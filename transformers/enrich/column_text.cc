#include "transformers/enrich/column_text.h"

#include <nlohmann/json.hpp>

namespace pgflow::transformers {

using Json = nlohmann::json;

std::string TextOfColumns(std::span<const schemas::Column> columns) {
  Json list = Json::array();
  for (const schemas::Column& column : columns) {
    list.push_back({{"name", column.name},
                    {"type", column.type},
                    {"modifier", column.type_modifier},
                    {"type_name", column.type_name},
                    {"wire", column.wire_type}});
  }
  return list.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<schemas::Column> ColumnsOfText(std::string_view text) {
  std::vector<schemas::Column> columns;
  const Json list = Json::parse(text, nullptr, false);
  if (!list.is_array()) return columns;
  for (const Json& each : list) {
    schemas::Column column;
    column.name = each.value("name", "");
    column.type = each.value("type", postgres::Oid{0});
    column.type_modifier = each.value("modifier", -1);
    column.type_name = each.value("type_name", "");
    column.wire_type = each.value("wire", postgres::Oid{0});
    columns.push_back(std::move(column));
  }
  return columns;
}

}  // namespace pgflow::transformers
