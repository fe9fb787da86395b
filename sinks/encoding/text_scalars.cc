#include "sinks/encoding/text_scalars.h"

#include <arpa/inet.h>

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/bytes.h"
#include "postgres/types/lsn.h"

namespace pgflow::sinks {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

template <typename Integer>
void AppendDecimal(Integer value, std::string& out) {
  std::array<char, 24> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  out.append(buffer.data(), result.ptr);
}

template <typename Integer>
bool AppendInteger(std::string_view bytes, std::string& out) {
  if (bytes.size() != sizeof(Integer)) return false;
  AppendDecimal(base::LoadBigEndian<Integer>(bytes.data()), out);
  return true;
}

void AppendHexByte(char byte, std::string& out) {
  const auto value = static_cast<unsigned char>(byte);
  out.push_back(kHexDigits[value >> 4]);
  out.push_back(kHexDigits[value & 0xF]);
}

// The significant digits of a number in scientific notation, without zeros at the end.
std::string SignificantDigits(std::string_view text) {
  std::string digits;
  for (const char c : text.substr(0, text.find('e'))) {
    if (c >= '0' && c <= '9') digits.push_back(c);
  }
  return digits.substr(0, digits.find_last_not_of('0') + 1);
}

// Whether `text`, the shortest digits of `value`, lies exactly between it and its neighbour. It
// reads back right only by rounding to even, so the server spends another digit on it. That can
// only happen where neighbours are whole numbers apart, and not beyond 1e38: a power of ten that
// large has more factors of five than a mantissa has room for.
template <typename Float>
bool IsHalfway(Float value, std::string_view text) {
  using Wide = std::conditional_t<sizeof(Float) == 4, double, long double>;
  constexpr auto kFirst = static_cast<Float>(uint64_t{1} << std::numeric_limits<Float>::digits);
  if (std::abs(value) < kFirst || std::abs(value) > static_cast<Float>(1e38)) return false;
  Wide wide = 0;
  std::from_chars(text.data(), text.data() + text.size(), wide);
  const Float toward = wide < Wide{value} ? -std::numeric_limits<Float>::infinity()
                                          : std::numeric_limits<Float>::infinity();
  const Wide gap = Wide{std::nextafter(value, toward)} - Wide{value};
  if (wide == Wide{value} || wide - Wide{value} != gap / 2) return false;
  // Reading it may have rounded: compare all digits of the number between with those of the text.
  std::array<char, 80> exact;
  const int size =
      std::snprintf(exact.data(), exact.size(), "%.45Le", static_cast<long double>(wide));
  return SignificantDigits({exact.data(), static_cast<size_t>(size)}) == SignificantDigits(text);
}

using FloatBuffer = std::array<char, 40>;

// In scientific notation, such as -1.25e+07.
template <typename Float>
std::string_view ShortestDigits(Float value, FloatBuffer& buffer) {
  char* const end = buffer.data() + buffer.size();
  const auto text_to = [&buffer](const char* last) {
    return std::string_view(buffer.data(), static_cast<size_t>(last - buffer.data()));
  };
  std::string_view text =
      text_to(std::to_chars(buffer.data(), end, value, std::chars_format::scientific).ptr);
  if (!IsHalfway(value, text)) return text;
  // max_digits10 digits always suffice: the loop ends with a text that reads back.
  for (int behind_point = 1; behind_point < std::numeric_limits<Float>::max_digits10;
       ++behind_point) {
    text = text_to(
        std::to_chars(buffer.data(), end, value, std::chars_format::scientific, behind_point).ptr);
    Float back = 0;
    std::from_chars(text.data(), text.data() + text.size(), back);
    if (back == value && !IsHalfway(value, text)) break;
  }
  return text;
}

// The shortest digits that read back as the same number, laid out as float4out and float8out do:
// an exponent of two digits at least, below 1e-4 and from 10^`fixed_digits` on.
template <typename Float>
void AppendFloat(Float value, int fixed_digits, std::string& out) {
  if (std::isnan(value)) {
    out.append("NaN");
    return;
  }
  if (std::isinf(value)) {
    out.append(value < 0 ? "-Infinity" : "Infinity");
    return;
  }
  FloatBuffer buffer;
  const std::string_view text = ShortestDigits(value, buffer);
  const size_t e = text.find('e');
  int exponent = 0;
  const char* exponent_digits = text.data() + e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(exponent_digits, text.data() + text.size(), exponent);
  if (exponent < -4 || exponent >= fixed_digits) {
    out.append(text);
    return;
  }
  std::string_view mantissa = text.substr(0, e);
  if (mantissa.front() == '-') {
    out.push_back('-');
    mantissa.remove_prefix(1);
  }
  std::array<char, 24> digits;
  size_t count = 0;
  for (const char c : mantissa) {
    if (c != '.') digits[count++] = c;
  }
  if (exponent < 0) {
    out.append("0.");
    out.append(static_cast<size_t>(-exponent - 1), '0');
    out.append(digits.data(), count);
    return;
  }
  const size_t whole = static_cast<size_t>(exponent) + 1;
  if (count <= whole) {
    out.append(digits.data(), count);
    out.append(whole - count, '0');
    return;
  }
  out.append(digits.data(), whole);
  out.push_back('.');
  out.append(digits.data() + whole, count - whole);
}

void AppendDouble(base::ByteReader& reader, std::string& out) {
  AppendFloat(std::bit_cast<double>(reader.Read<uint64_t>()), 15, out);
}

void AppendPair(base::ByteReader& reader, std::string& out) {
  out.push_back('(');
  AppendDouble(reader, out);
  out.push_back(',');
  AppendDouble(reader, out);
  out.push_back(')');
}

bool AppendPairs(base::ByteReader& reader, uint64_t count, std::string& out) {
  // Checked first, so that a wrong count cannot make a long text of nothing.
  if (count * 16 != reader.remaining()) return false;
  for (uint64_t i = 0; i < count; ++i) {
    if (i > 0) out.push_back(',');
    AppendPair(reader, out);
  }
  return reader.ok();
}

bool Finished(const base::ByteReader& reader) { return reader.ok() && reader.remaining() == 0; }

}  // namespace

bool AppendBool(std::string_view bytes, const TypeText&, std::string& out) {
  if (bytes.size() != 1) return false;
  out.push_back(bytes[0] != 0 ? 't' : 'f');
  return true;
}

bool AppendInt2(std::string_view bytes, const TypeText&, std::string& out) {
  return AppendInteger<int16_t>(bytes, out);
}
bool AppendInt4(std::string_view bytes, const TypeText&, std::string& out) {
  return AppendInteger<int32_t>(bytes, out);
}
bool AppendInt8(std::string_view bytes, const TypeText&, std::string& out) {
  return AppendInteger<int64_t>(bytes, out);
}
bool AppendUnsigned4(std::string_view bytes, const TypeText&, std::string& out) {
  return AppendInteger<uint32_t>(bytes, out);
}
bool AppendUnsigned8(std::string_view bytes, const TypeText&, std::string& out) {
  return AppendInteger<uint64_t>(bytes, out);
}

bool AppendFloat4(std::string_view bytes, const TypeText&, std::string& out) {
  if (bytes.size() != 4) return false;
  AppendFloat(std::bit_cast<float>(base::LoadBigEndian<uint32_t>(bytes.data())), 6, out);
  return true;
}

bool AppendFloat8(std::string_view bytes, const TypeText&, std::string& out) {
  if (bytes.size() != 8) return false;
  AppendFloat(std::bit_cast<double>(base::LoadBigEndian<uint64_t>(bytes.data())), 15, out);
  return true;
}

// numeric_send: digit count, weight of the first digit, sign, display scale, digits of base 10000.
bool AppendNumeric(std::string_view bytes, const TypeText&, std::string& out) {
  base::ByteReader reader(bytes);
  const int count = reader.Read<uint16_t>();
  const int weight = reader.Read<int16_t>();
  const uint16_t sign = reader.Read<uint16_t>();
  const int scale = reader.Read<uint16_t>();
  if (!reader.ok()) return false;
  if (sign == 0xC000 || sign == 0xD000 || sign == 0xF000) {
    out.append(sign == 0xC000 ? "NaN" : sign == 0xD000 ? "Infinity" : "-Infinity");
    return true;
  }
  if ((sign != 0 && sign != 0x4000) || scale > 0x3FFF) return false;
  if (reader.remaining() != static_cast<size_t>(count) * 2) return false;
  const char* digits = reader.position();
  for (int i = 0; i < count; ++i) {
    if (base::LoadBigEndian<uint16_t>(digits + 2 * i) > 9999) return false;
  }
  const auto digit_at = [&](int index) -> unsigned {
    if (index < 0 || index >= count) return 0;
    return base::LoadBigEndian<uint16_t>(digits + 2 * index);
  };
  const auto append_four = [&out](unsigned digit) {
    const std::array<char, 4> text = {
        static_cast<char>('0' + digit / 1000), static_cast<char>('0' + digit / 100 % 10),
        static_cast<char>('0' + digit / 10 % 10), static_cast<char>('0' + digit % 10)};
    out.append(text.data(), text.size());
  };
  if (sign == 0x4000) out.push_back('-');
  if (weight < 0) out.push_back('0');
  for (int i = 0; i <= weight; ++i) {
    if (i == 0) {
      AppendDecimal(digit_at(0), out);
    } else {
      append_four(digit_at(i));
    }
  }
  if (scale == 0) return true;
  out.push_back('.');
  const size_t end = out.size() + static_cast<size_t>(scale);
  for (int i = weight + 1; out.size() < end; ++i) append_four(digit_at(i));
  out.resize(end);
  return true;
}

bool AppendRawText(std::string_view bytes, const TypeText&, std::string& out) {
  out.append(bytes);
  return true;
}

bool AppendVersionedText(std::string_view bytes, const TypeText&, std::string& out) {
  if (bytes.empty() || bytes[0] != 1) return false;
  out.append(bytes.substr(1));
  return true;
}

// As charout of Postgres 16: bytes beyond ASCII in octal, zero as the empty string.
bool AppendCharType(std::string_view bytes, const TypeText&, std::string& out) {
  if (bytes.size() != 1) return false;
  const auto value = static_cast<unsigned char>(bytes[0]);
  if (value == 0) return true;
  if (value < 0x80) {
    out.push_back(bytes[0]);
    return true;
  }
  out.push_back('\\');
  out.push_back(static_cast<char>('0' + (value >> 6)));
  out.push_back(static_cast<char>('0' + ((value >> 3) & 7)));
  out.push_back(static_cast<char>('0' + (value & 7)));
  return true;
}

bool AppendBytea(std::string_view bytes, const TypeText&, std::string& out) {
  out.reserve(out.size() + 2 + bytes.size() * 2);
  out.append("\\x");
  for (const char byte : bytes) AppendHexByte(byte, out);
  return true;
}

bool AppendUuid(std::string_view bytes, const TypeText&, std::string& out) {
  if (bytes.size() != 16) return false;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out.push_back('-');
    AppendHexByte(bytes[i], out);
  }
  return true;
}

bool AppendBits(std::string_view bytes, const TypeText&, std::string& out) {
  base::ByteReader reader(bytes);
  const int32_t count = reader.Read<int32_t>();
  if (!reader.ok() || count < 0) return false;
  if (reader.remaining() != (static_cast<size_t>(count) + 7) / 8) return false;
  const char* at = reader.position();
  for (int32_t i = 0; i < count; ++i) {
    const auto byte = static_cast<unsigned char>(at[i / 8]);
    out.push_back(((byte >> (7 - i % 8)) & 1) != 0 ? '1' : '0');
  }
  return true;
}

bool AppendLsn(std::string_view bytes, const TypeText&, std::string& out) {
  if (bytes.size() != 8) return false;
  out.append(postgres::Lsn(base::LoadBigEndian<uint64_t>(bytes.data())).ToString());
  return true;
}

// network_send: family, prefix bits, is it a cidr, address size, address.
bool AppendInet(std::string_view bytes, const TypeText&, std::string& out) {
  base::ByteReader reader(bytes);
  const uint8_t family = reader.Read<uint8_t>();
  const uint8_t bits = reader.Read<uint8_t>();
  const uint8_t is_cidr = reader.Read<uint8_t>();
  const uint8_t size = reader.Read<uint8_t>();
  const bool v4 = family == 2;  // PGSQL_AF_INET; 3 is PGSQL_AF_INET6 on every platform.
  if (!reader.ok() || (!v4 && family != 3) || size != (v4 ? 4 : 16)) return false;
  if (reader.remaining() != size || bits > size * 8) return false;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (inet_ntop(v4 ? AF_INET : AF_INET6, reader.position(), text.data(), text.size()) == nullptr) {
    return false;
  }
  out.append(text.data());
  if (is_cidr != 0 || bits != size * 8) {
    out.push_back('/');
    AppendDecimal(static_cast<unsigned>(bits), out);
  }
  return true;
}

bool AppendMac(std::string_view bytes, const TypeText&, std::string& out) {
  if (bytes.size() != 6 && bytes.size() != 8) return false;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0) out.push_back(':');
    AppendHexByte(bytes[i], out);
  }
  return true;
}

// tsvectorsend: count, then per lexeme its zero-terminated text, position count, and positions
// with the weight (A = 3 ... D = 0) in the two upper bits.
bool AppendTsvector(std::string_view bytes, const TypeText&, std::string& out) {
  base::ByteReader reader(bytes);
  const uint32_t count = reader.Read<uint32_t>();
  for (uint32_t i = 0; i < count && reader.ok(); ++i) {
    if (i > 0) out.push_back(' ');
    out.push_back('\'');
    for (const char c : reader.ReadCString()) {
      if (c == '\'' || c == '\\') out.push_back(c);
      out.push_back(c);
    }
    out.push_back('\'');
    const uint16_t positions = reader.Read<uint16_t>();
    for (uint16_t j = 0; j < positions && reader.ok(); ++j) {
      const unsigned position = reader.Read<uint16_t>();
      out.push_back(j == 0 ? ':' : ',');
      AppendDecimal(position & 0x3FFFU, out);
      if (position >> 14 != 0) out.push_back(static_cast<char>('D' - (position >> 14)));
    }
  }
  return Finished(reader);
}

bool AppendPoint(std::string_view bytes, const TypeText&, std::string& out) {
  base::ByteReader reader(bytes);
  return AppendPairs(reader, 1, out);
}

bool AppendLine(std::string_view bytes, const TypeText&, std::string& out) {
  if (bytes.size() != 24) return false;
  base::ByteReader reader(bytes);
  out.push_back('{');
  for (int i = 0; i < 3; ++i) {
    if (i > 0) out.push_back(',');
    AppendDouble(reader, out);
  }
  out.push_back('}');
  return true;
}

bool AppendLseg(std::string_view bytes, const TypeText&, std::string& out) {
  base::ByteReader reader(bytes);
  out.push_back('[');
  if (!AppendPairs(reader, 2, out)) return false;
  out.push_back(']');
  return true;
}

bool AppendBox(std::string_view bytes, const TypeText&, std::string& out) {
  base::ByteReader reader(bytes);
  return AppendPairs(reader, 2, out);
}

bool AppendPath(std::string_view bytes, const TypeText&, std::string& out) {
  base::ByteReader reader(bytes);
  const bool closed = reader.Read<uint8_t>() != 0;
  const uint32_t count = reader.Read<uint32_t>();
  out.push_back(closed ? '(' : '[');
  if (!reader.ok() || !AppendPairs(reader, count, out)) return false;
  out.push_back(closed ? ')' : ']');
  return true;
}

bool AppendPolygon(std::string_view bytes, const TypeText&, std::string& out) {
  base::ByteReader reader(bytes);
  const uint32_t count = reader.Read<uint32_t>();
  out.push_back('(');
  if (!reader.ok() || !AppendPairs(reader, count, out)) return false;
  out.push_back(')');
  return true;
}

bool AppendCircle(std::string_view bytes, const TypeText&, std::string& out) {
  if (bytes.size() != 24) return false;
  base::ByteReader reader(bytes);
  out.push_back('<');
  AppendPair(reader, out);
  out.push_back(',');
  AppendDouble(reader, out);
  out.push_back('>');
  return true;
}

}  // namespace pgflow::sinks
