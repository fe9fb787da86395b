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
  bool never_null = false;  // Which is known of columns of the key only.
};

std::vector<DebeziumField> DebeziumFieldsOf(const schemas::TableSchema& schema,
                                            DebeziumDecimals decimals);

// What a schema is made of; owns nothing.
struct DebeziumTable {
  std::string_view connector;
  std::string_view name;  // schema.table
  std::span<const DebeziumField> fields;
  std::span<const size_t> key_columns;

  // A before image by key has null in all columns but those of the key.
  bool IsOptional(size_t column) const;
};

std::string DebeziumKeySchema(const DebeziumTable& table);
std::string DebeziumRowSchema(const DebeziumTable& table);
// before, after, source, transaction, op and three times.
std::string DebeziumEnvelopeSchema(const DebeziumTable& table);
// What is told of transactions; whole texts.
std::string DebeziumTransactionKeySchema();
std::string DebeziumTransactionSchema();
// source and message: what a schema change is written as.
std::string DebeziumMessageSchema();

}  // namespace pgflow::sinks
