// ColumnType: what a mask must know of a column, and its values in a form that does not depend on
// how they were sent.
//
// Pure functions of bytes; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "schemas/table_schema.h"
#include "schemas/value.h"
#include "sinks/encoding/type_text.h"

namespace pgflow::transformers {

// One bit each, so that a set of them is their sum.
enum class ValueClass : unsigned {
  kText = 1U << 0U,
  kInteger = 1U << 1U,
  kFloat = 1U << 2U,
  kNumeric = 1U << 3U,
  kUuid = 1U << 4U,
  kDate = 1U << 5U,
  kTimestamp = 1U << 6U,
  kBoolean = 1U << 7U,
  kJson = 1U << 8U,
  kBytes = 1U << 9U,
  kHstore = 1U << 10U,
  kNetwork = 1U << 11U,  // inet and cidr.
  kMac = 1U << 12U,
  kPoint = 1U << 13U,
  kOther = 1U << 14U,
};

struct ColumnType {
  ValueClass value_class = ValueClass::kOther;
  postgres::Oid wire = 0;       // The built-in type whose forms the values have.
  uint32_t characters_max = 0;  // Of varchar(n) and char(n); 0: no bound.
  int32_t modifier = -1;        // As in pg_attribute.
  const sinks::TypeText* text = nullptr;
};

ColumnType ColumnTypeOf(const schemas::Column& column);

// All of these are for values that are text or binary, and false when the bytes are malformed.
bool ReadInteger(const schemas::Value& value, const ColumnType& type, int64_t& number);
bool ReadDays(const schemas::Value& value, int32_t& days);
bool ReadMicros(const schemas::Value& value, int64_t& micros);
// The bytes of a bytea, in `bytes` where they were sent as text.
bool ReadBytes(const schemas::Value& value, std::string& bytes, std::string_view& read);
// Bytes that are equal for equal values of one class, whatever their type's width and however they
// were sent. `scratch` may hold them.
bool ReadCanonical(const schemas::Value& value, const ColumnType& type, std::string& scratch,
                   std::string_view& canonical);

// Appends what is in `binary` in the form `kind`. False when the type cannot write it.
bool AppendInForm(std::string_view binary, schemas::ValueKind kind, const ColumnType& type,
                  std::string& out);
void AppendInteger(int64_t number, schemas::ValueKind kind, const ColumnType& type,
                   std::string& out);

// `number` in units of 10^-precision, as the server prints it.
void AppendDecimal(int64_t number, int precision, std::string& out);
// The digits before and behind the point that a numeric(p,s) holds; those of a numeric have no end.
size_t WholeDigits(const ColumnType& type);
size_t FractionDigits(const ColumnType& type);

// The bytes that the first `count` characters of a UTF-8 text take; all when it has no more.
size_t PrefixBytes(std::string_view text, size_t count);
size_t CountCharacters(std::string_view text);

}  // namespace pgflow::transformers
