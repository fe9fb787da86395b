// RowView: one row of a table, in one of the encodings that rows arrive in.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "schemas/value.h"

namespace pgflow::schemas {

// Owns nothing. Copyable, cheap. The bytes must have been validated with the Validate functions
// once (by whoever received them); Decode does not check bounds again.
class RowView {
 public:
  enum class Encoding : uint8_t {
    kNone,        // There is no such row (the before image of an INSERT).
    kTuple,       // pgoutput TupleData: int16 count, then 'n' | 'u' | ('t'|'b') int32 size, bytes.
    kCopyBinary,  // A COPY BINARY tuple: int16 count, then int32 size (-1 = NULL), bytes.
    kValues,      // An array of Value in a batch's arena (a transformer made the row).
  };

  RowView() = default;
  static RowView Tuple(std::string_view bytes) { return {Encoding::kTuple, bytes.data()}; }
  static RowView CopyBinary(std::string_view bytes) {
    return {Encoding::kCopyBinary, bytes.data()};
  }
  static RowView Values(std::span<const Value> values);

  // The size in bytes of the tuple at the start of `bytes`; nothing when it is cut or malformed.
  static std::optional<size_t> ValidateTuple(std::string_view bytes);
  static std::optional<size_t> ValidateCopyBinary(std::string_view bytes);

  bool exists() const { return encoding_ != Encoding::kNone; }
  Encoding encoding() const { return encoding_; }
  // The number of columns; 0 when there is no row.
  size_t column_count() const;

  // Writes column_count() values to `out`.
  void Decode(Value* out) const;
  void Decode(std::vector<Value>& out) const {
    out.resize(column_count());
    Decode(out.data());
  }

 private:
  RowView(Encoding encoding, const char* bytes) : bytes_(bytes), encoding_(encoding) {}

  const char* bytes_ = nullptr;  // For kValues: the array.
  uint32_t value_count_ = 0;     // For kValues only.
  Encoding encoding_ = Encoding::kNone;
};

}  // namespace pgflow::schemas
