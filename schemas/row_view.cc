#include "schemas/row_view.h"

#include <algorithm>

#include "base/bytes.h"

namespace pgflow::schemas {
namespace {

void DecodeTuple(const char* at, size_t count, Value* out) {
  for (size_t i = 0; i < count; ++i) {
    const char kind = *at++;
    if (kind == 't' || kind == 'b') {
      const uint32_t size = base::LoadBigEndian<uint32_t>(at);
      at += sizeof(uint32_t);
      out[i] = {at, size, kind == 'b' ? ValueKind::kBinary : ValueKind::kText};
      at += size;
    } else {
      out[i] = {nullptr, 0, kind == 'u' ? ValueKind::kUnchanged : ValueKind::kNull};
    }
  }
}

void DecodeCopyBinary(const char* at, size_t count, Value* out) {
  for (size_t i = 0; i < count; ++i) {
    const int32_t size = base::LoadBigEndian<int32_t>(at);
    at += sizeof(int32_t);
    if (size < 0) {
      out[i] = {};
    } else {
      out[i] = {at, static_cast<uint32_t>(size), ValueKind::kBinary};
      at += size;
    }
  }
}

}  // namespace

RowView RowView::Values(std::span<const Value> values) {
  RowView row(Encoding::kValues, reinterpret_cast<const char*>(values.data()));
  row.value_count_ = static_cast<uint32_t>(values.size());
  return row;
}

std::optional<size_t> RowView::ValidateTuple(std::string_view bytes) {
  base::ByteReader reader(bytes);
  const uint16_t count = reader.Read<uint16_t>();
  for (uint16_t i = 0; i < count && reader.ok(); ++i) {
    switch (reader.Read<char>()) {
      case 'n':
      case 'u':
        break;
      case 't':
      case 'b':
        reader.ReadBytes(reader.Read<uint32_t>());
        break;
      default:
        return std::nullopt;
    }
  }
  if (!reader.ok()) return std::nullopt;
  return bytes.size() - reader.remaining();
}

std::optional<size_t> RowView::ValidateCopyBinary(std::string_view bytes) {
  base::ByteReader reader(bytes);
  const int16_t count = reader.Read<int16_t>();
  if (count < 0) return std::nullopt;  // -1 is the trailer, not a tuple.
  for (int16_t i = 0; i < count && reader.ok(); ++i) {
    const int32_t size = reader.Read<int32_t>();
    if (size < -1) return std::nullopt;
    if (size > 0) reader.ReadBytes(static_cast<uint64_t>(size));
  }
  if (!reader.ok()) return std::nullopt;
  return bytes.size() - reader.remaining();
}

size_t RowView::column_count() const {
  switch (encoding_) {
    case Encoding::kNone:
      return 0;
    case Encoding::kTuple:
    case Encoding::kCopyBinary:
      return base::LoadBigEndian<uint16_t>(bytes_);
    case Encoding::kValues:
      return value_count_;
  }
  return 0;
}

void RowView::Decode(Value* out) const {
  switch (encoding_) {
    case Encoding::kNone:
      return;
    case Encoding::kTuple:
      return DecodeTuple(bytes_ + sizeof(uint16_t), column_count(), out);
    case Encoding::kCopyBinary:
      return DecodeCopyBinary(bytes_ + sizeof(uint16_t), column_count(), out);
    case Encoding::kValues:
      std::copy_n(reinterpret_cast<const Value*>(bytes_), value_count_, out);
      return;
  }
}

}  // namespace pgflow::schemas
