// Text output of arrays, ranges and multiranges from their binary form. Pure functions of bytes
// (see type_text.h for the contract).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {

// What array_send writes in front of the elements, each an int32 size (-1: NULL) and its bytes.
struct ArrayHeader {
  static constexpr uint32_t kDimensionsMax = 6;  // MAXDIM of the server.

  uint32_t dimensions = 0;
  std::array<int32_t, kDimensionsMax> sizes{};
  std::array<int32_t, kDimensionsMax> lower_bounds{};
  postgres::Oid element = 0;
};
// Nothing when it is malformed, or says more elements than the bytes behind it could hold.
std::optional<ArrayHeader> ReadArrayHeader(base::ByteReader& reader);

// A range as range_send writes it. A bound that is infinite has no bytes.
struct RangeParts {
  bool empty = false;
  bool lower_inclusive = false;
  bool upper_inclusive = false;
  std::optional<std::string_view> lower;
  std::optional<std::string_view> upper;
};
std::optional<RangeParts> ReadRange(std::string_view bytes);

bool AppendArray(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendRange(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendMultirange(std::string_view bytes, const TypeText& type, std::string& out);

}  // namespace pgflow::sinks
