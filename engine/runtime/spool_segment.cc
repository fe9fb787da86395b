#include "engine/runtime/spool_segment.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"
#include "engine/runtime/crc32c.h"

namespace pgflow::engine {
namespace {

constexpr uint64_t kSegmentBytesMax = 64 * base::kMiB;
constexpr uint64_t kSegmentBytesKept = base::kMiB;
constexpr uint64_t kPageBytes = 4096;

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
    if (got < 0) return absl::ErrnoToStatus(errno, "read");
    if (got == 0) return absl::DataLossError("the file ends too early");
    bytes += got;
    size -= static_cast<uint64_t>(got);
    offset += static_cast<uint64_t>(got);
  }
  return absl::OkStatus();
}

std::string_view RecordBytes(const Chunk& chunk) {
  return {reinterpret_cast<const char*>(chunk.records.data()),
          chunk.records.size() * sizeof(EventRecord)};
}

uint32_t ChecksumOf(const Chunk& chunk) { return Crc32c(RecordBytes(chunk), Crc32c(chunk.bytes)); }

}  // namespace

SpoolSegment::~SpoolSegment() { ::close(fd_); }

uint64_t SpoolSegment::Footprint(uint64_t bytes) const {
  if (!punch_holes_) return bytes;
  // Only whole pages can be given back.
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

void SpoolSegment::Grow(uint64_t bytes) {
  size_ += bytes;
  live_bytes_.fetch_add(bytes, std::memory_order_relaxed);
}

void SpoolSegment::Discard(uint64_t offset, uint64_t bytes) const {
  live_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  if (!punch_holes_ || bytes == 0) return;
  // A file system that cannot gives it back with the whole file.
  static_cast<void>(::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                static_cast<off_t>(offset), static_cast<off_t>(bytes)));
}

SpooledChunk::SpooledChunk(std::shared_ptr<SpoolSegment> segment, const Chunk& chunk)
    : segment_(std::move(segment)),
      offset_(segment_->size()),
      byte_count_(chunk.bytes.size()),
      record_count_(chunk.records.size()),
      checksum_(ChecksumOf(chunk)),
      tables_(chunk.tables) {
  segment_->Grow(size());
}

absl::Status SpooledChunk::Damage(std::string_view why) const {
  return base::MakeStatus(absl::StatusCode::kDataLoss,
                          "the spool does not give back what was written: {} (deleted), bytes {} "
                          "to {}: {}",
                          segment_->path(), offset_, offset_ + size(), why);
}

absl::StatusOr<std::shared_ptr<const Chunk>> SpooledChunk::Load() const {
  auto chunk = std::make_shared<Chunk>();
  chunk->bytes.resize(byte_count_);
  chunk->records.resize(record_count_);
  chunk->tables = tables_;
  const std::string_view records = RecordBytes(*chunk);
  absl::Status status = ReadAll(segment_->fd(), chunk->bytes.data(), byte_count_, offset_);
  if (status.ok()) {
    status = ReadAll(segment_->fd(), reinterpret_cast<char*>(chunk->records.data()), records.size(),
                     offset_ + byte_count_);
  }
  if (!status.ok()) return Damage(base::Message(status));
  // Before anything of it is looked at: offsets and sizes in it are trusted from here on.
  if (const uint32_t found = ChecksumOf(*chunk); found != checksum_) {
    return Damage(fmt::format("checksum {:08x}, not {:08x}", found, checksum_));
  }
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
  segment_ = std::make_shared<SpoolSegment>(fd, path, give_back_, live_bytes_);
  return absl::OkStatus();
}

bool SpoolWriter::NeedsSegment() const {
  if (segment_ == nullptr || segment_->size() >= kSegmentBytesMax) return true;
  // Nobody needs anything in it: a new one gives its disk back.
  return segment_.use_count() == 1 && segment_->size() >= kSegmentBytesKept;
}

absl::StatusOr<std::shared_ptr<const SpooledChunk>> SpoolWriter::Write(const Chunk& chunk) {
  if (NeedsSegment()) PGFLOW_RETURN_IF_ERROR(OpenSegment());
  const std::string_view records = RecordBytes(chunk);
  const uint64_t offset = segment_->size();
  absl::Status status = WriteAll(segment_->fd(), chunk.bytes.data(), chunk.bytes.size(), offset);
  if (status.ok()) {
    status = WriteAll(segment_->fd(), records.data(), records.size(), offset + chunk.bytes.size());
  }
  if (!status.ok()) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "spool: cannot write to {}: {}; free space or set spool.directory to a "
                            "larger disk, then run again (nothing is lost: the slot keeps it)",
                            directory_, base::Message(status));
  }
  auto spooled = std::make_shared<const SpooledChunk>(segment_, chunk);
  written_bytes_.fetch_add(spooled->size(), std::memory_order_relaxed);
  return spooled;
}

}  // namespace pgflow::engine
