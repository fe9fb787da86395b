#include "sinks/encoding/debezium_schema.h"

#include <algorithm>

#include <fmt/format.h>

#include "sinks/encoding/debezium_default.h"
#include "sinks/encoding/debezium_value.h"
#include "sinks/encoding/json_value.h"

namespace pgflow::sinks {
namespace {

// Of the source block and what follows it, as that connector declares them.
constexpr std::string_view kSourceSchema =
    R"({"type":"struct","fields":[{"type":"string","optional":false,"field":"version"},)"
    R"({"type":"string","optional":false,"field":"connector"},)"
    R"({"type":"string","optional":false,"field":"name"},)"
    R"({"type":"int64","optional":false,"field":"ts_ms"},)"
    R"({"type":"string","optional":true,"name":"io.debezium.data.Enum","version":1,)"
    R"("parameters":{"allowed":)"
    R"("true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"},)"
    R"("default":"false","field":"snapshot"},)"
    R"({"type":"string","optional":false,"field":"db"},)"
    R"({"type":"string","optional":true,"field":"sequence"},)"
    R"({"type":"int64","optional":true,"field":"ts_us"},)"
    R"({"type":"int64","optional":true,"field":"ts_ns"},)"
    R"({"type":"string","optional":false,"field":"schema"},)"
    R"({"type":"string","optional":false,"field":"table"},)"
    R"({"type":"int64","optional":true,"field":"txId"},)"
    R"({"type":"int64","optional":true,"field":"lsn"},)"
    R"({"type":"int64","optional":true,"field":"xmin"},)"
    R"({"type":"string","optional":true,"field":"origin"},)"
    R"({"type":"int64","optional":true,"field":"origin_lsn"}],"optional":false,)"
    R"("name":"io.debezium.connector.postgresql.Source","version":1,"field":"source"})";
constexpr std::string_view kTransactionSchema =
    R"({"type":"struct","fields":[{"type":"string","optional":false,"field":"id"},)"
    R"({"type":"int64","optional":false,"field":"total_order"},)"
    R"({"type":"int64","optional":false,"field":"data_collection_order"}],"optional":true,)"
    R"("name":"event.block","version":1,"field":"transaction"})";
constexpr std::string_view kEndSchema =
    R"({"type":"string","optional":false,"field":"op"},)"
    R"({"type":"int64","optional":true,"field":"ts_ms"},)"
    R"({"type":"int64","optional":true,"field":"ts_us"},)"
    R"({"type":"int64","optional":true,"field":"ts_ns"}],"optional":false,)";
// A schema change, in the form of a logical decoding message.
constexpr std::string_view kMessageSchema =
    R"({"type":"struct","fields":[{"type":"string","optional":false,"field":"prefix"},)"
    R"({"type":"bytes","optional":true,"field":"content"}],"optional":false,)"
    R"("name":"io.debezium.connector.postgresql.Message","field":"message"})";

std::string Json(std::string_view text) {
  std::string json;
  AppendJsonName(text, json);
  return json;
}

// Without the closing brace, so that "field" can follow.
std::string StructSchema(const DebeziumTable& table, const std::vector<size_t>& columns,
                         bool optional, std::string_view suffix) {
  std::string json = R"({"type":"struct","fields":[)";
  for (const size_t i : columns) {
    const DebeziumField& field = table.fields[i];
    const bool has_default = table.strict && !field.default_json.empty();
    json +=
        fmt::format(R"({}{{{},"optional":{}{}{},"field":{}}})", i == columns[0] ? "" : ",",
                    field.type.schema_json, table.IsOptional(i), has_default ? ",\"default\":" : "",
                    has_default ? std::string_view(field.default_json) : "", Json(field.name));
  }
  return json + fmt::format(R"(],"optional":{},"name":{})", optional,
                            Json(fmt::format("{}.{}.{}", table.connector, table.name, suffix)));
}

std::string RowSchema(const DebeziumTable& table, bool optional) {
  std::vector<size_t> all(table.fields.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  return StructSchema(table, all, optional, "Value");
}

// A value that the source did not send is left out where nothing stands for it.
bool MayBeRequired(const DebeziumType& type, bool has_placeholder) {
  switch (type.form) {
    case DebeziumForm::kString:
    case DebeziumForm::kBytes:
    case DebeziumForm::kHstore:
    case DebeziumForm::kArray: {
      std::string placeholder;
      return has_placeholder && AppendDebeziumPlaceholder(type, "", placeholder);
    }
    case DebeziumForm::kBits:
    case DebeziumForm::kVector:
      return false;
    default:
      return true;
  }
}

}  // namespace

std::vector<DebeziumField> DebeziumFieldsOf(const schemas::TableSchema& schema,
                                            const DebeziumForms& forms, bool has_placeholder) {
  std::vector<DebeziumField> fields;
  fields.reserve(schema.columns.size());
  const bool identity_is_key = schema.replica_identity != schemas::ReplicaIdentity::kFull;
  for (const schemas::Column& column : schema.columns) {
    DebeziumField& field = fields.emplace_back();
    field.name = column.name;
    field.name_json = Json(column.name) + ":";
    field.type = DebeziumTypeOf(column, forms);
    field.identity = column.identity;
    field.never_null = column.primary_key > 0 || (column.identity && identity_is_key);
    field.default_json = DebeziumDefault(column, field.type);
    if (!column.not_null) continue;
    const std::string zero = DebeziumZero(column, field.type);
    if (zero.empty()) continue;
    field.absent_json = field.default_json.empty() ? zero : field.default_json;
    field.required = MayBeRequired(field.type, has_placeholder);
  }
  return fields;
}

bool DebeziumTable::IsOptional(size_t column) const {
  if (strict && fields[column].required) return false;
  return !fields[column].never_null || std::ranges::find(key_columns, column) == key_columns.end();
}

std::string DebeziumKeySchema(const DebeziumTable& table) {
  return StructSchema(table, {table.key_columns.begin(), table.key_columns.end()}, false, "Key");
}

std::string DebeziumRowSchema(const DebeziumTable& table) { return RowSchema(table, false); }

std::string DebeziumEnvelopeSchema(const DebeziumTable& table) {
  const std::string row = RowSchema(table, true);
  return fmt::format(R"({{"type":"struct","fields":[{0},"field":"before"}},{0},"field":"after"}},)"
                     R"({1},{2},{3}"name":{4},"version":2)",
                     row, kSourceSchema, kTransactionSchema, kEndSchema,
                     Json(fmt::format("{}.{}.Envelope", table.connector, table.name)));
}

std::string DebeziumTransactionKeySchema() {
  return R"({"type":"struct","fields":[{"type":"string","optional":false,"field":"id"}],)"
         R"("optional":false,"name":"io.debezium.connector.common.TransactionMetadataKey",)"
         R"("version":1})";
}

std::string DebeziumTransactionSchema() {
  return R"({"type":"struct","fields":[{"type":"string","optional":false,"field":"status"},)"
         R"({"type":"string","optional":false,"field":"id"},)"
         R"({"type":"int64","optional":true,"field":"event_count"},)"
         R"({"type":"array","items":{"type":"struct","fields":[)"
         R"({"type":"string","optional":false,"field":"data_collection"},)"
         R"({"type":"int64","optional":false,"field":"event_count"}],"optional":false,)"
         R"("name":"event.collection","version":1},"optional":true,"field":"data_collections"},)"
         R"({"type":"int64","optional":false,"field":"ts_ms"}],"optional":false,)"
         R"("name":"io.debezium.connector.common.TransactionMetadataValue","version":1})";
}

std::string DebeziumMessageSchema() {
  return fmt::format(R"({{"type":"struct","fields":[{},)"
                     R"({{"type":"string","optional":false,"field":"op"}},)"
                     R"({{"type":"int64","optional":true,"field":"ts_ms"}},{}],"optional":false,)"
                     R"("name":"io.debezium.connector.postgresql.MessageValue")",
                     kSourceSchema, kMessageSchema);
}

std::string DebeziumLogicalKeySchema() {
  return R"({"type":"struct","fields":[{"type":"string","optional":true,"field":"prefix"}],)"
         R"("optional":false,"name":"io.debezium.connector.postgresql.MessageKey","version":1})";
}

std::string DebeziumLogicalSchema() {
  return fmt::format(R"({{"type":"struct","fields":[)"
                     R"({{"type":"string","optional":false,"field":"op"}},)"
                     R"({{"type":"int64","optional":true,"field":"ts_ms"}},{},{},)"
                     R"({{"type":"struct","fields":[)"
                     R"({{"type":"string","optional":true,"field":"prefix"}},)"
                     R"({{"type":"bytes","optional":true,"field":"content"}}],"optional":false,)"
                     R"("name":"io.debezium.connector.postgresql.Message","version":1,)"
                     R"("field":"message"}}],"optional":false,)"
                     R"("name":"io.debezium.connector.postgresql.MessageValue","version":1}})",
                     kSourceSchema, kTransactionSchema);
}

}  // namespace pgflow::sinks
