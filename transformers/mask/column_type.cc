#include "transformers/mask/column_type.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/bytes.h"
#include "schemas/type_name.h"
#include "sinks/encoding/integer_text.h"
#include "sinks/encoding/type_binary.h"
#include "transformers/mask/constant_forms.h"

namespace pgflow::transformers {

namespace oid = postgres::oid;
using schemas::Value;
using schemas::ValueKind;

namespace {

ValueClass ClassOf(postgres::Oid wire) {
  switch (wire) {
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kName:
    case oid::kXml:
      return ValueClass::kText;
    case oid::kInt2:
    case oid::kInt4:
    case oid::kInt8:
      return ValueClass::kInteger;
    case oid::kFloat4:
    case oid::kFloat8:
      return ValueClass::kFloat;
    case oid::kNumeric:
      return ValueClass::kNumeric;
    case oid::kUuid:
      return ValueClass::kUuid;
    case oid::kDate:
      return ValueClass::kDate;
    case oid::kTimestamp:
    case oid::kTimestamptz:
      return ValueClass::kTimestamp;
    case oid::kBool:
      return ValueClass::kBoolean;
    case oid::kJson:
    case oid::kJsonb:
      return ValueClass::kJson;
    case oid::kBytea:
      return ValueClass::kBytes;
    case kInet:
    case kCidr:
      return ValueClass::kNetwork;
    case kMacaddr:
    case kMacaddr8:
      return ValueClass::kMac;
    case oid::kPoint:
      return ValueClass::kPoint;
    default:
      return ValueClass::kOther;
  }
}

bool IsBinary(const Value& value) { return value.kind == ValueKind::kBinary; }

template <typename Number>
bool ReadNumber(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

bool ReadDouble(const Value& value, const ColumnType& type, double& number) {
  const bool narrow = type.wire == oid::kFloat4;
  if (!IsBinary(value)) {
    if (!narrow) return ReadNumber(value.view(), number);
    float single = 0;
    if (!ReadNumber(value.view(), single)) return false;
    number = static_cast<double>(single);
    return true;
  }
  if (value.size != (narrow ? 4 : 8)) return false;
  if (narrow) {
    number = static_cast<double>(std::bit_cast<float>(base::LoadBigEndian<uint32_t>(value.bytes)));
  } else {
    number = std::bit_cast<double>(base::LoadBigEndian<uint64_t>(value.bytes));
  }
  return true;
}

// Eight bytes of a number, in `scratch`.
template <typename Number>
std::string_view Fixed(Number number, std::string& scratch) {
  scratch.resize(sizeof(Number));
  std::memcpy(scratch.data(), &number, sizeof(Number));
  return scratch;
}

bool ReadNumeric(const Value& value, const ColumnType& type, std::string& scratch,
                 std::string_view& canonical) {
  scratch.clear();
  if (!IsBinary(value)) {
    scratch.append(value.view());
  } else if (!type.text->append(value.view(), *type.text, scratch)) {
    return false;
  }
  if (scratch.find('.') != std::string::npos) {  // 1.50 is 1.5.
    scratch.erase(scratch.find_last_not_of('0') + 1);
    if (scratch.back() == '.') scratch.pop_back();
  }
  canonical = scratch;
  return true;
}

bool ReadUuid(const Value& value, std::string& scratch, std::string_view& canonical) {
  canonical = value.view();
  if (IsBinary(value)) return value.size == 16;
  std::optional<std::string> bytes = sinks::ParseUuid(value.view());
  if (!bytes.has_value()) return false;
  scratch = *std::move(bytes);
  canonical = scratch;
  return true;
}

// Types without a class of their own, where their binary form can be made: that form.
bool ReadOther(const Value& value, const ColumnType& type, std::string& scratch,
               std::string_view& canonical) {
  canonical = value.view();
  if (IsBinary(value)) return true;
  scratch.clear();
  if (!AppendConstantBinary(value.view(), type, scratch)) return false;
  canonical = scratch;
  return true;
}

}  // namespace

ColumnType ColumnTypeOf(const schemas::Column& column) {
  ColumnType type;
  type.wire = column.wire_type != 0 ? column.wire_type : column.type;
  type.value_class = ClassOf(type.wire);
  type.text = sinks::FindTypeText(type.wire);
  type.modifier = column.type_modifier;
  if (column.type >= postgres::kFirstUserOid && type.text == nullptr &&
      schemas::BareTypeName(column.type_name) == "hstore") {
    type.value_class = ValueClass::kHstore;
  }
  const bool bounded = column.type == oid::kVarchar || column.type == oid::kBpchar;
  if (bounded && column.type_modifier >= 4) {
    type.characters_max = static_cast<uint32_t>(column.type_modifier - 4);
  }
  if (column.type == oid::kName) type.characters_max = 63;
  return type;
}

bool ReadInteger(const Value& value, const ColumnType& type, int64_t& number) {
  if (!IsBinary(value)) return ReadNumber(value.view(), number);
  switch (type.wire) {
    case oid::kInt2:
      if (value.size != 2) return false;
      number = base::LoadBigEndian<int16_t>(value.bytes);
      return true;
    case oid::kInt4:
      if (value.size != 4) return false;
      number = base::LoadBigEndian<int32_t>(value.bytes);
      return true;
    default:
      if (value.size != 8) return false;
      number = base::LoadBigEndian<int64_t>(value.bytes);
      return true;
  }
}

bool ReadDays(const Value& value, int32_t& days) {
  if (IsBinary(value)) {
    if (value.size != 4) return false;
    days = base::LoadBigEndian<int32_t>(value.bytes);
    return true;
  }
  const std::optional<int32_t> read = sinks::ParseDate(value.view());
  days = read.value_or(0);
  return read.has_value();
}

bool ReadMicros(const Value& value, int64_t& micros) {
  if (IsBinary(value)) {
    if (value.size != 8) return false;
    micros = base::LoadBigEndian<int64_t>(value.bytes);
    return true;
  }
  const std::optional<int64_t> read = sinks::ParseTimestamp(value.view());
  micros = read.value_or(0);
  return read.has_value();
}

bool ReadBytes(const Value& value, std::string& bytes, std::string_view& read) {
  read = value.view();
  if (IsBinary(value)) return true;
  bytes.clear();
  if (!sinks::AppendBinaryOfText(value.view(), oid::kBytea, bytes)) return false;
  read = bytes;
  return true;
}

bool ReadCanonical(const Value& value, const ColumnType& type, std::string& scratch,
                   std::string_view& canonical) {
  switch (type.value_class) {
    case ValueClass::kText:
      canonical = value.view();
      if (type.wire == oid::kBpchar) {
        canonical = canonical.substr(0, canonical.find_last_not_of(' ') + 1);
      }
      return true;
    case ValueClass::kInteger: {
      int64_t number = 0;
      if (!ReadInteger(value, type, number)) return false;
      canonical = Fixed(number, scratch);
      return true;
    }
    case ValueClass::kFloat: {
      double number = 0;
      if (!ReadDouble(value, type, number)) return false;
      canonical = Fixed(number == 0 ? 0.0 : number, scratch);
      return true;
    }
    case ValueClass::kNumeric:
      return ReadNumeric(value, type, scratch, canonical);
    case ValueClass::kUuid:
      return ReadUuid(value, scratch, canonical);
    case ValueClass::kDate: {
      int32_t days = 0;
      if (!ReadDays(value, days)) return false;
      canonical = Fixed(days, scratch);
      return true;
    }
    case ValueClass::kTimestamp: {
      int64_t micros = 0;
      if (!ReadMicros(value, micros)) return false;
      canonical = Fixed(micros, scratch);
      return true;
    }
    case ValueClass::kBoolean:
      scratch = IsBinary(value) ? (value.view() == std::string_view("\1", 1) ? "t" : "f")
                                : std::string(value.view());
      canonical = scratch;
      return true;
    case ValueClass::kBytes:
      return ReadBytes(value, scratch, canonical);
    case ValueClass::kNetwork:
    case ValueClass::kMac:
    case ValueClass::kPoint:
    case ValueClass::kOther:
      return ReadOther(value, type, scratch, canonical);
    case ValueClass::kJson:
    case ValueClass::kHstore:
      return false;
  }
  return false;
}

bool AppendInForm(std::string_view binary, ValueKind kind, const ColumnType& type,
                  std::string& out) {
  if (kind == ValueKind::kBinary) {
    out.append(binary);
    return true;
  }
  return type.text != nullptr && type.text->append(binary, *type.text, out);
}

void AppendInteger(int64_t number, ValueKind kind, const ColumnType& type, std::string& out) {
  if (kind == ValueKind::kText) {
    sinks::AppendDigits(number, out);
  } else if (type.wire == oid::kInt2) {
    base::AppendBigEndian(out, static_cast<int16_t>(number));
  } else if (type.wire == oid::kInt4) {
    base::AppendBigEndian(out, static_cast<int32_t>(number));
  } else {
    base::AppendBigEndian(out, number);
  }
}

void AppendDecimal(int64_t number, int precision, std::string& out) {
  const bool negative = number < 0;
  std::array<char, 24> digits;
  const uint64_t size =
      negative ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), size);
  const auto count = static_cast<size_t>(end.ptr - digits.data());
  const auto fraction = static_cast<size_t>(precision);
  if (negative) out.push_back('-');
  if (count <= fraction) out.push_back('0');
  if (count > fraction) out.append(digits.data(), count - fraction);
  if (fraction == 0) return;
  out.push_back('.');
  if (count < fraction) out.append(fraction - count, '0');
  const size_t behind = std::min(count, fraction);
  out.append(digits.data() + (count - behind), behind);
}

size_t WholeDigits(const ColumnType& type) {
  if (type.wire != oid::kNumeric || type.modifier < 4) return SIZE_MAX;
  const auto precision = static_cast<size_t>((type.modifier - 4) >> 16);
  const size_t scale = FractionDigits(type);
  return precision > scale ? precision - scale : 0;
}

size_t FractionDigits(const ColumnType& type) {
  if (type.wire != oid::kNumeric || type.modifier < 4) return SIZE_MAX;
  // Eleven bits with a sign; a negative scale (from 15 on) leaves no digit behind the point.
  const auto bits = static_cast<size_t>((type.modifier - 4) & 0x7FF);
  return bits < 1024 ? bits : 0;
}

size_t PrefixBytes(std::string_view text, size_t count) {
  for (size_t i = 0; i < text.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U;
    if (begins && count-- == 0) return i;
  }
  return text.size();
}

size_t CountCharacters(std::string_view text) {
  size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U ? 1 : 0;
  return count;
}

}  // namespace pgflow::transformers
