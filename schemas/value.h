// Value: a view of one column value, in the bytes that the source sent.
#pragma once

#include <cstdint>
#include <string_view>

namespace pgflow::schemas {

enum class ValueKind : uint8_t {
  kNull,
  kUnchanged,  // An UPDATE that did not touch a TOASTed value: the source did not send it.
  kText,       // The type's text output.
  kBinary,     // The type's send function.
};

// Owns nothing; valid while the batch (or arena) that holds its bytes lives.
struct Value {
  const char* bytes = nullptr;
  uint32_t size = 0;
  ValueKind kind = ValueKind::kNull;

  std::string_view view() const { return {bytes, size}; }
  bool is_null() const { return kind == ValueKind::kNull; }
  bool is_unchanged() const { return kind == ValueKind::kUnchanged; }
};

}  // namespace pgflow::schemas
