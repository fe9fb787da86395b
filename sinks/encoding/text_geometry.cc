#include "sinks/encoding/text_geometry.h"

#include <bit>
#include <cstdint>

#include "base/bytes.h"
#include "sinks/encoding/text_floats.h"

namespace pgflow::sinks {
namespace {

void AppendDouble(base::ByteReader& reader, std::string& out) {
  AppendDoubleText(std::bit_cast<double>(reader.Read<uint64_t>()), out);
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

}  // namespace

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
