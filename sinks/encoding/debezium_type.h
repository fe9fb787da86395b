// DebeziumType: what a column becomes in Debezium's events: the literal and semantic type of its
// connector for PostgreSQL, with its default settings or those chosen here.
//
// Immutable; thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "schemas/table_schema.h"
#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {

enum class DebeziumDecimals {
  kPrecise,  // Kafka Connect's Decimal: base64 of the unscaled number.
  kString,
  kDouble,
};

enum class DebeziumForm : uint8_t {
  kJson,    // As in JSON lines: numbers, bool, strings.
  kString,  // The text output, whatever it is.
  kBytes,
  kBit,   // bit(1): true, false.
  kBits,  // Bytes, the lowest bits first.
  kDecimal,
  kVariableDecimal,
  kDouble,
  kDate,
  kTimeMillis,
  kTimeMicros,
  kTimeWithZone,
  kTimestampMillis,
  kTimestampMicros,
  kTimestampWithZone,
  kInterval,
  kPoint,
  kHstore,
  kArray,
};

struct DebeziumType {
  DebeziumForm form = DebeziumForm::kString;
  int32_t scale = 0;                            // kDecimal.
  const TypeText* text = nullptr;               // How a binary value is read; null: not known.
  std::shared_ptr<const DebeziumType> element;  // kArray.
  // Of its Kafka Connect schema, as JSON: "type":"int32","name":... without "optional".
  std::string schema_json;
};

DebeziumType DebeziumTypeOf(const schemas::Column& column, DebeziumDecimals decimals);

}  // namespace pgflow::sinks
