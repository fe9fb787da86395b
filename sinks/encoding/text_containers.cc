#include "sinks/encoding/text_containers.h"

#include <strings.h>

#include <array>
#include <cstdint>

#include <fmt/format.h>

#include "base/bytes.h"

namespace pgflow::sinks {
namespace {

constexpr postgres::Oid kBoxType = 603;

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

// Writes what array_out writes; reads each element where the text needs it, in one pass.
class ArrayWriter {
 public:
  ArrayWriter(base::ByteReader& reader, const ArrayHeader& dimensions, const TypeText& element,
              std::string& out)
      : reader_(reader), dimensions_(dimensions), element_(element), out_(out) {}

  bool Write(uint32_t dimension) {
    out_.push_back('{');
    for (int32_t i = 0; i < dimensions_.sizes[dimension]; ++i) {
      if (i > 0) out_.push_back(delimiter());
      const bool ok =
          dimension + 1 < dimensions_.dimensions ? Write(dimension + 1) : WriteElement();
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
  const ArrayHeader& dimensions_;
  const TypeText& element_;
  std::string& out_;
  std::string text_;
};

bool AppendBound(std::string_view bytes, const TypeText& element, std::string& out) {
  std::string text;
  if (!element.append(bytes, element, text)) return false;
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

std::optional<ArrayHeader> ReadArrayHeader(base::ByteReader& reader) {
  ArrayHeader header;
  header.dimensions = reader.Read<uint32_t>();
  reader.Read<int32_t>();  // Whether there are NULLs: each element says so itself.
  header.element = reader.Read<postgres::Oid>();
  if (!reader.ok() || header.dimensions > ArrayHeader::kDimensionsMax) return std::nullopt;
  uint64_t elements = header.dimensions == 0 ? 0 : 1;
  for (uint32_t i = 0; i < header.dimensions; ++i) {
    header.sizes[i] = reader.Read<int32_t>();
    header.lower_bounds[i] = reader.Read<int32_t>();
    if (!reader.ok() || header.sizes[i] <= 0) return std::nullopt;
    elements *= static_cast<uint64_t>(header.sizes[i]);
    // Each element takes four bytes at least.
    if (elements > reader.remaining() / 4 + 1) return std::nullopt;
  }
  return header;
}

bool AppendArray(std::string_view bytes, const TypeText& type, std::string& out) {
  base::ByteReader reader(bytes);
  const std::optional<ArrayHeader> header = ReadArrayHeader(reader);
  if (!header.has_value()) return false;
  // The column's element type is preferred: of an enum array the header has the enum's own OID.
  const TypeText* element = FindTypeText(type.element != 0 ? type.element : header->element);
  if (element == nullptr) return false;
  if (header->dimensions == 0) {
    out.append("{}");
    return reader.remaining() == 0;
  }
  bool shifted = false;
  for (uint32_t i = 0; i < header->dimensions; ++i) {
    shifted = shifted || header->lower_bounds[i] != 1;
  }
  if (shifted) {
    for (uint32_t i = 0; i < header->dimensions; ++i) {
      const int64_t lower = header->lower_bounds[i];
      fmt::format_to(std::back_inserter(out), "[{}:{}]", lower, lower + header->sizes[i] - 1);
    }
    out.push_back('=');
  }
  ArrayWriter writer(reader, *header, *element, out);
  return writer.Write(0) && reader.ok() && reader.remaining() == 0;
}

// range_send: flags, then the bounds that are finite, each with its size.
std::optional<RangeParts> ReadRange(std::string_view bytes) {
  constexpr uint8_t kEmpty = 0x01, kLowerInclusive = 0x02, kUpperInclusive = 0x04,
                    kLowerInfinite = 0x08, kUpperInfinite = 0x10;
  base::ByteReader reader(bytes);
  const uint8_t flags = reader.Read<uint8_t>();
  if (!reader.ok() || flags > 0x1F) return std::nullopt;
  RangeParts parts;
  parts.empty = (flags & kEmpty) != 0;
  parts.lower_inclusive = (flags & kLowerInclusive) != 0;
  parts.upper_inclusive = (flags & kUpperInclusive) != 0;
  const auto read_bound = [&reader](std::optional<std::string_view>& bound) {
    const int32_t size = reader.Read<int32_t>();
    if (!reader.ok() || size < 0) return false;
    bound = reader.ReadBytes(static_cast<uint64_t>(size));
    return reader.ok();
  };
  if (!parts.empty) {
    if ((flags & kLowerInfinite) == 0 && !read_bound(parts.lower)) return std::nullopt;
    if ((flags & kUpperInfinite) == 0 && !read_bound(parts.upper)) return std::nullopt;
  }
  if (!reader.ok() || reader.remaining() != 0) return std::nullopt;
  return parts;
}

bool AppendRange(std::string_view bytes, const TypeText& type, std::string& out) {
  const TypeText* element = FindTypeText(type.element);
  const std::optional<RangeParts> parts = ReadRange(bytes);
  if (element == nullptr || !parts.has_value()) return false;
  if (parts->empty) {
    out.append("empty");
    return true;
  }
  out.push_back(parts->lower_inclusive ? '[' : '(');
  if (parts->lower.has_value() && !AppendBound(*parts->lower, *element, out)) return false;
  out.push_back(',');
  if (parts->upper.has_value() && !AppendBound(*parts->upper, *element, out)) return false;
  out.push_back(parts->upper_inclusive ? ']' : ')');
  return true;
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
