// SpoolSegments: chunks on disk. A cache, never the truth: the files are unlinked as soon as they
// are open, so that a killed process leaves nothing behind and a restart reads from the slot again.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/chunk.h"

namespace pgflow::engine {

// One unlinked file. Shared by the chunks in it; closed, and so freed, with the last of them.
class SpoolSegment {
 public:
  SpoolSegment(int fd, std::string path, bool punch_holes, std::atomic<uint64_t>& live_bytes)
      : fd_(fd), path_(std::move(path)), punch_holes_(punch_holes), live_bytes_(live_bytes) {}
  ~SpoolSegment();
  SpoolSegment(const SpoolSegment&) = delete;
  SpoolSegment& operator=(const SpoolSegment&) = delete;

  int fd() const { return fd_; }
  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  // What that many bytes take up.
  uint64_t Footprint(uint64_t bytes) const;
  void Grow(uint64_t bytes);
  // What stands there is not needed any more.
  void Discard(uint64_t offset, uint64_t bytes) const;

 private:
  int fd_;
  const std::string path_;  // That it had.
  const bool punch_holes_;
  uint64_t size_ = 0;
  std::atomic<uint64_t>& live_bytes_;
};

// Where one chunk lies, and what must come back from there; keeps its segment alive, and its bytes
// count as live. Length and checksum stay in memory, where a disk that gives back something else
// cannot change them, nor a page that belongs somewhere else bring its own along.
class SpooledChunk {
 public:
  SpooledChunk(std::shared_ptr<SpoolSegment> segment, const Chunk& chunk);
  ~SpooledChunk() { segment_->Discard(offset_, size()); }
  SpooledChunk(const SpooledChunk&) = delete;
  SpooledChunk& operator=(const SpooledChunk&) = delete;

  // The chunk, without its transactions. Any thread. kDataLoss, which says where, when the file
  // does not give back what was written: then nothing of it may be used.
  absl::StatusOr<std::shared_ptr<const Chunk>> Load() const;
  // On disk.
  uint64_t size() const {
    return segment_->Footprint(byte_count_ + record_count_ * sizeof(EventRecord));
  }

 private:
  absl::Status Damage(std::string_view why) const;

  const std::shared_ptr<SpoolSegment> segment_;
  const uint64_t offset_;
  const uint64_t byte_count_;
  const uint64_t record_count_;
  const uint32_t checksum_;
  const std::vector<schemas::TableSchemaPtr> tables_;
};

// Appends chunks to segments in `directory`. One thread; the counters may be read by any.
class SpoolWriter {
 public:
  // `give_back`: what is not needed any more leaves the disk chunk by chunk, not file by file.
  SpoolWriter(std::string directory, bool give_back)
      : directory_(std::move(directory)), give_back_(give_back) {}

  // kResourceExhausted is never returned for a full disk: the pipeline has to stop with a message,
  // so that is kFailedPrecondition, naming the directory and the remedy.
  absl::StatusOr<std::shared_ptr<const SpooledChunk>> Write(const Chunk& chunk);

  // Of chunks that somebody still needs.
  uint64_t live_bytes() const { return live_bytes_.load(std::memory_order_relaxed); }
  uint64_t written_bytes() const { return written_bytes_.load(std::memory_order_relaxed); }

 private:
  absl::Status OpenSegment();
  bool NeedsSegment() const;

  const std::string directory_;
  const bool give_back_;
  std::shared_ptr<SpoolSegment> segment_;
  std::atomic<uint64_t> live_bytes_{0};
  std::atomic<uint64_t> written_bytes_{0};
};

}  // namespace pgflow::engine
