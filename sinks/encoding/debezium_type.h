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

enum class DebeziumIntervals {
  kNumeric,  // Microseconds, with months of 30.4375 days.
  kString,   // P1Y2M3DT4H5M6.7S
};

// How columns of some types are written.
struct DebeziumForms {
  DebeziumDecimals decimals = DebeziumDecimals::kPrecise;
  DebeziumIntervals intervals = DebeziumIntervals::kNumeric;
  int32_t money_digits = 2;
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
  kIntervalText,
  kMoney,  // A decimal as `decimals` says.
  kPoint,
  kShape,  // box, lseg, path, polygon: well-known binary.
  kCircle,
  kLine,
  kGeometry,  // PostGIS: extended well-known binary.
  kGeography,
  kVector,
  kHstore,
  kArray,
};

struct DebeziumType {
  DebeziumForm form = DebeziumForm::kString;
  int32_t scale = 0;                                       // kDecimal, kMoney.
  DebeziumDecimals decimals = DebeziumDecimals::kPrecise;  // kMoney.
  const TypeText* text = nullptr;               // How a binary value is read; null: not known.
  std::shared_ptr<const DebeziumType> element;  // kArray.
  // Of its Kafka Connect schema, as JSON: "type":"int32","name":... without "optional".
  std::string schema_json;
};

DebeziumType DebeziumTypeOf(const schemas::Column& column, const DebeziumForms& forms);

}  // namespace pgflow::sinks
