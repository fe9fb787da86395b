#include "sources/postgres/logical_message.h"

#include <memory>
#include <string_view>
#include <utility>

#include "base/bytes.h"

namespace pgflow::sources {

schemas::TableSchemaPtr LogicalMessageSchema() {
  auto schema = std::make_shared<schemas::TableSchema>();
  schema->table = {"pgflow", "logical_message"};
  schema->replica_identity = schemas::ReplicaIdentity::kNothing;
  schema->rows = schemas::RowKind::kLogicalMessages;
  const auto add = [&schema](std::string_view name, postgres::Oid type,
                             std::string_view type_name) {
    schemas::Column column;
    column.name = name;
    column.type = type;
    column.attribute_number = static_cast<int16_t>(schema->columns.size() + 1);
    column.type_name = type_name;
    column.not_null = true;
    schema->columns.push_back(std::move(column));
  };
  add("prefix", postgres::oid::kText, "text");
  add("content", postgres::oid::kBytea, "bytea");
  add("transactional", postgres::oid::kBool, "boolean");
  return schema;
}

std::string LogicalMessageTuple(const postgres::LogicalMessage& message) {
  std::string tuple;
  base::AppendBigEndian<int16_t>(tuple, 3);
  const auto append = [&tuple](char kind, std::string_view value) {
    tuple.push_back(kind);
    base::AppendBigEndian(tuple, static_cast<int32_t>(value.size()));
    tuple += value;
  };
  append('t', message.prefix);
  append('b', message.content);
  append('t', message.transactional ? "t" : "f");
  return tuple;
}

}  // namespace pgflow::sources
