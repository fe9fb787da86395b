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
  SpoolSegment(int fd, std::atomic<uint64_t>& live_bytes) : fd_(fd), live_bytes_(live_bytes) {}
  ~SpoolSegment();
  SpoolSegment(const SpoolSegment&) = delete;
  SpoolSegment& operator=(const SpoolSegment&) = delete;

  int fd() const { return fd_; }
  uint64_t size() const { return size_; }
  void Grow(uint64_t bytes);

 private:
  int fd_;
  uint64_t size_ = 0;
  std::atomic<uint64_t>& live_bytes_;
};

// Where one chunk lies; keeps its segment alive. Load may be called by any thread.
struct SpooledChunk {
  std::shared_ptr<SpoolSegment> segment;
  uint64_t offset = 0;
  uint64_t byte_count = 0;
  uint64_t record_count = 0;
  std::vector<schemas::TableSchemaPtr> tables;

  // The chunk, without its transactions. kDataLoss when the file cannot be read back.
  absl::StatusOr<std::shared_ptr<const Chunk>> Load() const;
};

// Appends chunks to segments in `directory`. One thread; the counters may be read by any.
class SpoolWriter {
 public:
  explicit SpoolWriter(std::string directory) : directory_(std::move(directory)) {}

  // kResourceExhausted is never returned for a full disk: the pipeline has to stop with a message,
  // so that is kFailedPrecondition, naming the directory and the remedy.
  absl::StatusOr<SpooledChunk> Write(const Chunk& chunk);

  uint64_t live_bytes() const { return live_bytes_.load(std::memory_order_relaxed); }
  uint64_t written_bytes() const { return written_bytes_.load(std::memory_order_relaxed); }

 private:
  absl::Status OpenSegment();

  std::string directory_;
  std::shared_ptr<SpoolSegment> segment_;
  std::atomic<uint64_t> live_bytes_{0};
  std::atomic<uint64_t> written_bytes_{0};
};

}  // namespace pgflow::engine
