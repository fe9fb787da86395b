#include "sources/postgres/relation_change.h"

#include <nlohmann/json.hpp>

namespace pgflow::sources {
namespace {

using Json = nlohmann::json;

Json StateOf(const schemas::TableSchema& schema, const TypeNames& types) {
  Json columns = Json::array();
  for (const schemas::Column& column : schema.columns) {
    const auto type = types.find({column.type, column.type_modifier});
    columns.push_back({{"number", column.attribute_number},
                       {"name", column.name},
                       {"type", type == types.end() ? column.type_name : type->second},
                       {"type_oid", column.type},
                       {"type_modifier", column.type_modifier},
                       {"local", true}});
  }
  return {{"object", "table"},
          {"oid", schema.oid},
          {"schema", schema.table.schema},
          {"name", schema.table.name},
          {"persistence", "p"},
          {"identity", std::string(1, static_cast<char>(schema.replica_identity))},
          {"default_grants", true},
          {"columns", std::move(columns)}};
}

}  // namespace

std::string DescribeRelationChange(const schemas::TableSchema& before,
                                   const schemas::TableSchema& after, const TypeNames& types) {
  Json was = StateOf(before, types);
  const Json is = StateOf(after, types);
  // Its index is not known: the target keeps the identity that it has.
  was["identity"] = is["identity"];
  if (was == is) return {};
  return Json{{"tag", "ALTER TABLE"},
              {"before", std::move(was)},
              {"after", is},
              {"cascade", false},
              {"derived", true}}
      .dump();
}

}  // namespace pgflow::sources
