// COPY BINARY: the file header, the trailer, and tuples.
//
// Written from "Binary Format" of COPY's page in the PostgreSQL manual: an 11-byte signature, int32
// flags, int32 length of a header extension and the extension; then tuples of int16 count and, for
// each field, int32 size (-1: NULL) and bytes; then int16 -1. Pure functions of bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <absl/status/statusor.h>

#include "base/bytes.h"

namespace pgflow::postgres {

// What COPY ... FROM STDIN (FORMAT binary) wants first and last.
inline constexpr std::string_view kCopyBinaryHeader{"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19};
inline constexpr std::string_view kCopyBinaryTrailer{"\377\377", 2};

// The size of the header at the start of `bytes`, which the server sends whole, in the CopyData
// message of the first row or in one of its own. kDataLoss when it is not one, or has flags that
// must not be ignored (among them OIDs, which servers before 12 could send).
absl::StatusOr<size_t> CopyBinaryHeaderSize(std::string_view bytes);

// True when `bytes` is the trailer and nothing else.
inline bool IsCopyBinaryTrailer(std::string_view bytes) { return bytes == kCopyBinaryTrailer; }

// The size of the tuple at the start of `bytes`; nothing when it is cut, malformed or the trailer.
std::optional<size_t> CopyTupleSize(std::string_view bytes);

// The hot path of writers: a tuple is its count and then that many fields.
inline void AppendCopyTuple(std::string& to, int16_t field_count) {
  base::AppendBigEndian(to, field_count);
}
inline void AppendCopyNull(std::string& to) { base::AppendBigEndian(to, int32_t{-1}); }
// `bytes`: what the type's send function gives; at most 1 GiB, as in every row of a server.
inline void AppendCopyField(std::string& to, std::string_view bytes) {
  base::AppendBigEndian(to, static_cast<int32_t>(bytes.size()));
  to.append(bytes);
}

}  // namespace pgflow::postgres
