#include "sinks/encoding/text_extensions.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "sinks/encoding/text_floats.h"
#include "sinks/encoding/text_scalars.h"

namespace pgflow::sinks {
namespace {

void AppendQuoted(std::string_view text, std::string& out) {
  out.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
}

// hstore_send (contrib/hstore/hstore_io.c): int32 count, then for each pair int32 size and key,
// int32 size (-1: NULL) and value.
bool AppendHstore(std::string_view bytes, const TypeText&, std::string& out) {
  base::ByteReader reader(bytes);
  const int32_t count = reader.Read<int32_t>();
  for (int32_t i = 0; i < count; ++i) {
    if (i > 0) out.append(", ");
    const int32_t key_size = reader.Read<int32_t>();
    if (!reader.ok() || key_size < 0) return false;
    AppendQuoted(reader.ReadBytes(static_cast<uint64_t>(key_size)), out);
    out.append("=>");
    const int32_t size = reader.Read<int32_t>();
    if (!reader.ok() || size < -1) return false;
    if (size == -1) {
      out.append("NULL");
    } else {
      AppendQuoted(reader.ReadBytes(static_cast<uint64_t>(size)), out);
    }
    if (!reader.ok()) return false;
  }
  return reader.ok() && reader.remaining() == 0;
}

// Extended well-known binary; the text is its hex (LWGEOM_out).
bool AppendGeometry(std::string_view bytes, const TypeText&, std::string& out) {
  for (const char byte : bytes) out += fmt::format("{:02X}", static_cast<uint8_t>(byte));
  return !bytes.empty();
}

// vector_send (pgvector, src/vector.c): int16 dimensions, int16 unused, float4 each.
bool AppendVector(std::string_view bytes, const TypeText& type, std::string& out) {
  base::ByteReader reader(bytes);
  const int16_t dimensions = reader.Read<int16_t>();
  reader.Read<int16_t>();
  out.push_back('[');
  for (int16_t i = 0; i < dimensions; ++i) {
    if (i > 0) out.push_back(',');
    const std::string_view element = reader.ReadBytes(4);
    if (!reader.ok() || !AppendFloat4(element, type, out)) return false;
  }
  out.push_back(']');
  return reader.ok() && reader.remaining() == 0;
}

constexpr std::pair<std::string_view, TypeText> kTypes[] = {
    {"hstore", {0, JsonForm::kString, AppendHstore}},
    {"ltree", {0, JsonForm::kString, AppendVersionedText}},
    {"lquery", {0, JsonForm::kString, AppendVersionedText}},
    {"ltxtquery", {0, JsonForm::kString, AppendVersionedText}},
    {"geometry", {0, JsonForm::kPlainString, AppendGeometry}},
    {"geography", {0, JsonForm::kPlainString, AppendGeometry}},
    {"vector", {0, JsonForm::kPlainString, AppendVector}},
};

}  // namespace

const TypeText* FindExtensionType(std::string_view name) {
  const auto* found =
      std::ranges::find_if(kTypes, [name](const auto& each) { return each.first == name; });
  return found == std::end(kTypes) ? nullptr : &found->second;
}

}  // namespace pgflow::sinks
