#include "sinks/encoding/text_containers.h"

#include <strings.h>

#include <array>
#include <cstdint>

#include <fmt/format.h>

#include "base/bytes.h"

namespace pgflow::sinks {
namespace {

constexpr postgres::Oid kBoxType = 603;
constexpr uint32_t kMaxDimensions = 6;  // MAXDIM of the server.

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool NeedsArrayQuotes(std::string_view text, char delimiter) {
  if (text.empty()) return true;
  if (text.size() == 4 && strncasecmp(text.data(), "null", 4) == 0) return true;
  for (const char c : text) {
    if (c == '"' || c == '\\' || c == '{' || c == '}' || c == delimiter || IsSpace(c)) return true;
  }
  return false;
}

bool NeedsRangeQuotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    if (c == '"' || c == '\\' || c == '(' || c == ')' || c == '[' || c == ']' || c == ',' ||
        IsSpace(c)) {
      return true;
    }
  }
  return false;
}

struct Dimensions {
  uint32_t count = 0;
  std::array<int32_t, kMaxDimensions> sizes{};
  std::array<int32_t, kMaxDimensions> lower_bounds{};
};

// Writes what array_out writes; reads each element where the text needs it, in one pass.
class ArrayWriter {
 public:
  ArrayWriter(base::ByteReader& reader, const Dimensions& dimensions, const TypeText& element,
              std::string& out)
      : reader_(reader), dimensions_(dimensions), element_(element), out_(out) {}

  bool Write(uint32_t dimension) {
    out_.push_back('{');
    for (int32_t i = 0; i < dimensions_.sizes[dimension]; ++i) {
      if (i > 0) out_.push_back(delimiter());
      const bool ok = dimension + 1 < dimensions_.count ? Write(dimension + 1) : WriteElement();
      if (!ok) return false;
    }
    out_.push_back('}');
    return true;
  }

 private:
  char delimiter() const { return element_.type == kBoxType ? ';' : ','; }

  bool WriteElement() {
    const int32_t size = reader_.Read<int32_t>();
    if (!reader_.ok() || size < -1) return false;
    if (size == -1) {
      out_.append("NULL");
      return true;
    }
    const std::string_view bytes = reader_.ReadBytes(static_cast<uint64_t>(size));
    text_.clear();
    if (!reader_.ok() || !element_.append(bytes, element_, text_)) return false;
    if (!NeedsArrayQuotes(text_, delimiter())) {
      out_.append(text_);
      return true;
    }
    out_.push_back('"');
    for (const char c : text_) {
      if (c == '"' || c == '\\') out_.push_back('\\');
      out_.push_back(c);
    }
    out_.push_back('"');
    return true;
  }

  base::ByteReader& reader_;
  const Dimensions& dimensions_;
  const TypeText& element_;
  std::string& out_;
  std::string text_;
};

bool AppendBound(base::ByteReader& reader, const TypeText& element, std::string& out) {
  const int32_t size = reader.Read<int32_t>();
  if (!reader.ok() || size < 0) return false;
  const std::string_view bytes = reader.ReadBytes(static_cast<uint64_t>(size));
  std::string text;
  if (!reader.ok() || !element.append(bytes, element, text)) return false;
  if (!NeedsRangeQuotes(text)) {
    out.append(text);
    return true;
  }
  out.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back(c);
    out.push_back(c);
  }
  out.push_back('"');
  return true;
}

}  // namespace

// array_send: dimension count, flags, element type, (size, lower bound) per dimension, elements.
bool AppendArray(std::string_view bytes, const TypeText& type, std::string& out) {
  base::ByteReader reader(bytes);
  Dimensions dimensions;
  dimensions.count = reader.Read<uint32_t>();
  reader.Read<int32_t>();  // Whether there are NULLs: each element says so itself.
  // The column's element type is preferred: of an enum array the header has the enum's own OID.
  const auto sent_element = reader.Read<postgres::Oid>();
  const TypeText* element = FindTypeText(type.element != 0 ? type.element : sent_element);
  if (!reader.ok() || element == nullptr || dimensions.count > kMaxDimensions) return false;
  bool shifted = false;
  uint64_t elements = dimensions.count == 0 ? 0 : 1;
  for (uint32_t i = 0; i < dimensions.count; ++i) {
    dimensions.sizes[i] = reader.Read<int32_t>();
    dimensions.lower_bounds[i] = reader.Read<int32_t>();
    if (!reader.ok() || dimensions.sizes[i] <= 0) return false;
    elements *= static_cast<uint64_t>(dimensions.sizes[i]);
    // Each element takes four bytes at least.
    if (elements > reader.remaining() / 4 + 1) return false;
    shifted = shifted || dimensions.lower_bounds[i] != 1;
  }
  if (dimensions.count == 0) {
    out.append("{}");
    return reader.remaining() == 0;
  }
  if (shifted) {
    for (uint32_t i = 0; i < dimensions.count; ++i) {
      const int64_t lower = dimensions.lower_bounds[i];
      fmt::format_to(std::back_inserter(out), "[{}:{}]", lower, lower + dimensions.sizes[i] - 1);
    }
    out.push_back('=');
  }
  ArrayWriter writer(reader, dimensions, *element, out);
  return writer.Write(0) && reader.ok() && reader.remaining() == 0;
}

// range_send: flags, then the bounds that are finite.
bool AppendRange(std::string_view bytes, const TypeText& type, std::string& out) {
  constexpr uint8_t kEmpty = 0x01, kLowerInclusive = 0x02, kUpperInclusive = 0x04,
                    kLowerInfinite = 0x08, kUpperInfinite = 0x10;
  base::ByteReader reader(bytes);
  const uint8_t flags = reader.Read<uint8_t>();
  const TypeText* element = FindTypeText(type.element);
  if (!reader.ok() || element == nullptr || flags > 0x1F) return false;
  if ((flags & kEmpty) != 0) {
    out.append("empty");
    return reader.remaining() == 0;
  }
  out.push_back((flags & kLowerInclusive) != 0 ? '[' : '(');
  if ((flags & kLowerInfinite) == 0 && !AppendBound(reader, *element, out)) return false;
  out.push_back(',');
  if ((flags & kUpperInfinite) == 0 && !AppendBound(reader, *element, out)) return false;
  out.push_back((flags & kUpperInclusive) != 0 ? ']' : ')');
  return reader.ok() && reader.remaining() == 0;
}

bool AppendMultirange(std::string_view bytes, const TypeText& type, std::string& out) {
  base::ByteReader reader(bytes);
  const uint32_t count = reader.Read<uint32_t>();
  const TypeText* range = FindTypeText(type.element);
  if (!reader.ok() || range == nullptr) return false;
  out.push_back('{');
  for (uint32_t i = 0; i < count; ++i) {
    if (i > 0) out.push_back(',');
    const uint32_t size = reader.Read<uint32_t>();
    const std::string_view one = reader.ReadBytes(size);
    if (!reader.ok() || !range->append(one, *range, out)) return false;
  }
  out.push_back('}');
  return reader.remaining() == 0;
}

}  // namespace pgflow::sinks
