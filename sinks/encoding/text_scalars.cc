#include "sinks/encoding/text_scalars.h"

#include <arpa/inet.h>

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "postgres/types/lsn.h"
#include "sinks/encoding/integer_text.h"

namespace pgflow::sinks {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

template <typename Integer>
bool AppendLoaded(std::string_view bytes, std::string& out) {
  if (bytes.size() != sizeof(Integer)) return false;
  AppendDigits(base::LoadBigEndian<Integer>(bytes.data()), out);
  return true;
}

void AppendHexByte(char byte, std::string& out) {
  const auto value = static_cast<unsigned char>(byte);
  out.push_back(kHexDigits[value >> 4]);
  out.push_back(kHexDigits[value & 0xF]);
}

bool Finished(const base::ByteReader& reader) { return reader.ok() && reader.remaining() == 0; }

}  // namespace

bool AppendBool(std::string_view bytes, const TypeText&, std::string& out) {
  if (bytes.size() != 1) return false;
  out.push_back(bytes[0] != 0 ? 't' : 'f');
  return true;
}

bool AppendInt2(std::string_view bytes, const TypeText&, std::string& out) {
  return AppendLoaded<int16_t>(bytes, out);
}
bool AppendInt4(std::string_view bytes, const TypeText&, std::string& out) {
  return AppendLoaded<int32_t>(bytes, out);
}
bool AppendInt8(std::string_view bytes, const TypeText&, std::string& out) {
  return AppendLoaded<int64_t>(bytes, out);
}
bool AppendUnsigned4(std::string_view bytes, const TypeText&, std::string& out) {
  return AppendLoaded<uint32_t>(bytes, out);
}
bool AppendUnsigned8(std::string_view bytes, const TypeText&, std::string& out) {
  return AppendLoaded<uint64_t>(bytes, out);
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
      AppendDigits(digit_at(0), out);
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
    AppendDigits(static_cast<unsigned>(bits), out);
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
      AppendDigits(position & 0x3FFFU, out);
      if (position >> 14 != 0) out.push_back(static_cast<char>('D' - (position >> 14)));
    }
  }
  return Finished(reader);
}

}  // namespace pgflow::sinks
