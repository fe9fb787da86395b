#include "sinks/encoding/avro_binary.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "base/bytes.h"

namespace pgflow::sinks {
namespace {

namespace oid = postgres::oid;
using schemas::Value;
using schemas::ValueKind;

template <typename T>
std::optional<T> Load(const Value& value) {
  if (value.size != sizeof(T)) return std::nullopt;
  return base::LoadBigEndian<T>(value.bytes);
}

template <typename T>
std::optional<int64_t> ReadInteger(const Value& value) {
  if (value.kind == ValueKind::kBinary) {
    const std::optional<T> number = Load<T>(value);
    return number.has_value() ? std::optional<int64_t>(*number) : std::nullopt;
  }
  T number = 0;
  const std::string_view text = value.view();
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<bool> ReadBool(const Value& value) {
  const std::string_view bytes = value.view();
  if (bytes.size() != 1) return std::nullopt;
  if (value.kind == ValueKind::kBinary) return bytes[0] != '\0';
  if (bytes[0] != 't' && bytes[0] != 'f') return std::nullopt;
  return bytes[0] == 't';
}

// Text is what the server prints: digits enough for the same number, NaN, Infinity.
template <typename T, typename Bits>
std::optional<T> ReadFloat(const Value& value) {
  if (value.kind == ValueKind::kBinary) {
    const std::optional<Bits> bits = Load<Bits>(value);
    return bits.has_value() ? std::optional<T>(std::bit_cast<T>(*bits)) : std::nullopt;
  }
  const std::string text(value.view());
  char* end = nullptr;
  T number = 0;
  if constexpr (sizeof(T) == sizeof(float)) {
    number = std::strtof(text.c_str(), &end);
  } else {
    number = std::strtod(text.c_str(), &end);
  }
  if (text.empty() || *end != '\0') return std::nullopt;
  return number;
}

template <typename T>
void AppendLittleEndian(T value, std::string& out) {
  static_assert(std::endian::native == std::endian::little);
  std::array<char, sizeof(T)> bytes;
  std::memcpy(bytes.data(), &value, sizeof(T));
  out.append(bytes.data(), bytes.size());
}

}  // namespace

void AppendAvroLong(int64_t value, std::string& out) {
  // Zigzag, then seven bits a byte, the lowest first.
  uint64_t bits = (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
  while (bits >= 0x80) {
    out.push_back(static_cast<char>((bits & 0x7F) | 0x80));
    bits >>= 7;
  }
  out.push_back(static_cast<char>(bits));
}

void AppendAvroFloat(float value, std::string& out) { AppendLittleEndian(value, out); }

void AppendAvroDouble(double value, std::string& out) { AppendLittleEndian(value, out); }

void AppendAvroBytes(std::string_view bytes, std::string& out) {
  AppendAvroLong(static_cast<int64_t>(bytes.size()), out);
  out += bytes;
}

bool AppendAvroPlain(postgres::Oid type, const Value& value, std::string& out) {
  std::optional<int64_t> integer;
  switch (type) {
    case oid::kBool: {
      const std::optional<bool> truth = ReadBool(value);
      if (truth.has_value()) out.push_back(*truth ? '\1' : '\0');
      return truth.has_value();
    }
    case oid::kFloat4: {
      const std::optional<float> number = ReadFloat<float, uint32_t>(value);
      if (number.has_value()) AppendAvroFloat(*number, out);
      return number.has_value();
    }
    case oid::kFloat8: {
      const std::optional<double> number = ReadFloat<double, uint64_t>(value);
      if (number.has_value()) AppendAvroDouble(*number, out);
      return number.has_value();
    }
    case oid::kInt2:
      integer = ReadInteger<int16_t>(value);
      break;
    case oid::kInt4:
      integer = ReadInteger<int32_t>(value);
      break;
    case oid::kInt8:
      integer = ReadInteger<int64_t>(value);
      break;
    case oid::kOid:
      integer = ReadInteger<uint32_t>(value);
      break;
    default:
      return false;
  }
  if (integer.has_value()) AppendAvroLong(*integer, out);
  return integer.has_value();
}

}  // namespace pgflow::sinks
