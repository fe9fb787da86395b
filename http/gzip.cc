#include "http/gzip.h"

#include <zlib.h>

#include <algorithm>

#include <climits>

namespace pgflow::http {
namespace {

constexpr int kGzipWindow = 15 + 16;  // The largest window; 16 adds gzip's header and trailer.
constexpr int kMemoryLevel = 8;

}  // namespace

absl::StatusOr<std::string> Gzip(std::string_view bytes) {
  z_stream stream{};
  // Level 1: the time is spent between a commit and its arrival.
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, kMemoryLevel,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    return absl::ResourceExhaustedError("gzip: out of memory");
  }
  std::string out;
  out.resize(deflateBound(&stream, bytes.size()));
  // zlib reads only; its interface says otherwise for C's sake.
  auto* in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
  size_t left = bytes.size();
  int result = Z_OK;
  stream.next_in = in;
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  size_t room = out.size();
  while (result == Z_OK) {
    if (stream.avail_in == 0) {
      stream.avail_in = static_cast<uInt>(std::min<size_t>(left, UINT_MAX));
      left -= stream.avail_in;
    }
    if (stream.avail_out == 0) {
      stream.avail_out = static_cast<uInt>(std::min<size_t>(room, UINT_MAX));
      room -= stream.avail_out;
    }
    result = deflate(&stream, left == 0 ? Z_FINISH : Z_NO_FLUSH);
  }
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (result != Z_STREAM_END) return absl::ResourceExhaustedError("gzip: out of memory");
  return out;
}

}  // namespace pgflow::http
