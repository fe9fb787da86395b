// The schemas of Debezium's keys and values, as Kafka Connect's JSON converter writes them.
//
// Pure, thread-safe. The texts have no closing brace, so that more can follow.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/table_schema.h"
#include "sinks/encoding/debezium_type.h"

namespace pgflow::sinks {

struct DebeziumField {
  std::string name;
  std::string name_json;  // "name":
  DebeziumType type;
  bool identity = false;
  bool never_null = false;  // For certain, which only columns of the key are.
  // NOT NULL as far as the catalog knows, and old rows and large values can be written in spite of
  // it.
  bool required = false;
  std::string default_json;          // Empty: none.
  std::string absent_json = "null";  // In an old row that is known by its key.
};

// `has_placeholder`: something stands for large values that the source did not send.
std::vector<DebeziumField> DebeziumFieldsOf(const schemas::TableSchema& schema,
                                            const DebeziumForms& forms, bool has_placeholder);

// What a schema is made of; owns nothing.
struct DebeziumTable {
  std::string_view connector;
  std::string_view name;  // schema.table
  std::span<const DebeziumField> fields;
  std::span<const size_t> key_columns;
  // Whether `required` and the defaults count; else all columns are optional but those of the key.
  bool strict = false;

  bool IsOptional(size_t column) const;
};

std::string DebeziumKeySchema(const DebeziumTable& table);
std::string DebeziumRowSchema(const DebeziumTable& table);
// before, after, source, transaction, op and three times.
std::string DebeziumEnvelopeSchema(const DebeziumTable& table);
// What is told of transactions; whole texts.
std::string DebeziumTransactionKeySchema();
std::string DebeziumTransactionSchema();
// source and message: what a schema change is written as in Avro.
std::string DebeziumMessageSchema();
// Of logical messages; whole texts.
std::string DebeziumLogicalKeySchema();
std::string DebeziumLogicalSchema();

}  // namespace pgflow::sinks
