#include "engine/runtime/spool_segment.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"

namespace pgflow::engine {
namespace {

constexpr uint64_t kSegmentBytesMax = 64 * base::kMiB;

absl::Status WriteAll(int fd, const char* bytes, uint64_t size, uint64_t offset) {
  while (size > 0) {
    const ssize_t written = ::pwrite(fd, bytes, size, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return absl::ErrnoToStatus(written < 0 ? errno : ENOSPC, "write");
    bytes += written;
    size -= static_cast<uint64_t>(written);
    offset += static_cast<uint64_t>(written);
  }
  return absl::OkStatus();
}

absl::Status ReadAll(int fd, char* bytes, uint64_t size, uint64_t offset) {
  while (size > 0) {
    const ssize_t got = ::pread(fd, bytes, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      return base::MakeStatus(absl::StatusCode::kDataLoss, "the spool cannot be read back: {}",
                              got < 0 ? std::strerror(errno) : "unexpected end of file");
    }
    bytes += got;
    size -= static_cast<uint64_t>(got);
    offset += static_cast<uint64_t>(got);
  }
  return absl::OkStatus();
}

}  // namespace

SpoolSegment::~SpoolSegment() {
  ::close(fd_);
  live_bytes_.fetch_sub(size_, std::memory_order_relaxed);
}

void SpoolSegment::Grow(uint64_t bytes) {
  size_ += bytes;
  live_bytes_.fetch_add(bytes, std::memory_order_relaxed);
}

absl::StatusOr<std::shared_ptr<const Chunk>> SpooledChunk::Load() const {
  auto chunk = std::make_shared<Chunk>();
  chunk->bytes.resize(byte_count);
  chunk->records.resize(record_count);
  chunk->tables = tables;
  PGFLOW_RETURN_IF_ERROR(ReadAll(segment->fd(), chunk->bytes.data(), byte_count, offset));
  PGFLOW_RETURN_IF_ERROR(ReadAll(segment->fd(), reinterpret_cast<char*>(chunk->records.data()),
                                 record_count * sizeof(EventRecord), offset + byte_count));
  return std::shared_ptr<const Chunk>(std::move(chunk));
}

absl::Status SpoolWriter::OpenSegment() {
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  std::string path = directory_ + "/segment-XXXXXX";
  const int fd = ::mkostemp(path.data(), O_CLOEXEC);
  if (fd < 0) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "spool: cannot create a file in {}: {}; set spool.directory to a "
                            "writable place",
                            directory_, std::strerror(errno));
  }
  ::unlink(path.c_str());
  segment_ = std::make_shared<SpoolSegment>(fd, live_bytes_);
  return absl::OkStatus();
}

absl::StatusOr<SpooledChunk> SpoolWriter::Write(const Chunk& chunk) {
  if (segment_ == nullptr || segment_->size() >= kSegmentBytesMax) {
    PGFLOW_RETURN_IF_ERROR(OpenSegment());
  }
  const uint64_t record_bytes = chunk.records.size() * sizeof(EventRecord);
  const uint64_t offset = segment_->size();
  absl::Status status = WriteAll(segment_->fd(), chunk.bytes.data(), chunk.bytes.size(), offset);
  if (status.ok()) {
    status = WriteAll(segment_->fd(), reinterpret_cast<const char*>(chunk.records.data()),
                      record_bytes, offset + chunk.bytes.size());
  }
  if (!status.ok()) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "spool: cannot write to {}: {}; free space or set spool.directory to a "
                            "larger disk, then run again (nothing is lost: the slot keeps it)",
                            directory_, base::Message(status));
  }
  segment_->Grow(chunk.bytes.size() + record_bytes);
  written_bytes_.fetch_add(chunk.bytes.size() + record_bytes, std::memory_order_relaxed);
  return SpooledChunk{segment_, offset, chunk.bytes.size(), chunk.records.size(), chunk.tables};
}

}  // namespace pgflow::engine
