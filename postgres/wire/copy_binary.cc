#include "postgres/wire/copy_binary.h"

#include "base/status.h"

namespace pgflow::postgres {

absl::StatusOr<size_t> CopyBinaryHeaderSize(std::string_view bytes) {
  constexpr std::string_view kSignature = kCopyBinaryHeader.substr(0, 11);
  if (!bytes.starts_with(kSignature)) {
    return base::MakeStatus(absl::StatusCode::kDataLoss,
                            "COPY BINARY: {} bytes without its signature", bytes.size());
  }
  base::ByteReader reader(bytes.substr(kSignature.size()));
  const uint32_t flags = reader.Read<uint32_t>();
  reader.ReadBytes(reader.Read<uint32_t>());
  if (!reader.ok()) {
    return base::MakeStatus(absl::StatusCode::kDataLoss,
                            "COPY BINARY: header cut short at {} bytes", bytes.size());
  }
  // Bits 16 to 31 are critical: a reader that does not know them must give up.
  if ((flags & 0xFFFF0000U) != 0) {
    return base::MakeStatus(absl::StatusCode::kDataLoss, "COPY BINARY: unknown flags 0x{:08X}",
                            flags);
  }
  return bytes.size() - reader.remaining();
}

std::optional<size_t> CopyTupleSize(std::string_view bytes) {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  if (bytes.size() < sizeof(int16_t)) return std::nullopt;
  const int16_t count = base::LoadBigEndian<int16_t>(at);
  if (count < 0) return std::nullopt;
  at += sizeof(int16_t);
  for (int16_t i = 0; i < count; ++i) {
    if (static_cast<size_t>(end - at) < sizeof(int32_t)) return std::nullopt;
    const int32_t size = base::LoadBigEndian<int32_t>(at);
    at += sizeof(int32_t);
    if (size < -1) return std::nullopt;
    if (size <= 0) continue;
    if (static_cast<size_t>(end - at) < static_cast<size_t>(size)) return std::nullopt;
    at += size;
  }
  return static_cast<size_t>(at - bytes.data());
}

}  // namespace pgflow::postgres
