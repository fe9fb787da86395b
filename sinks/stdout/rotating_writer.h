// RotatingWriter: a LineWriter whose file is put aside under a number when it is large or old.
//
//   orders.jsonl, orders.jsonl.000001, orders.jsonl.000002.gz, ...
//
// A number is never used again, and the highest one is the newest. A file with a number is complete
// and durable: whole lines, which nobody adds to. It gets its number by one rename, and its
// compressed form replaces it by another one, so that at every moment each line is in exactly one
// file that counts (orders.jsonl.000002.gz.part does not; it is removed when the path is opened).
//
// Thread-safe. A thread compresses, once there is something to compress. Errors: those of
// LineWriter.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "base/mutex.h"
#include "sinks/stdout/line_writer.h"

namespace pgflow::sinks {

struct RotationOptions {
  std::optional<uint64_t> size_max;       // Bytes of a file, as far as a single line allows.
  std::optional<absl::Duration> age_max;  // Of a file that has lines.
  uint64_t keep = 0;                      // Files with a number, at most; 0: all.
  bool compress = false;

  bool rotates() const { return size_max.has_value() || age_max.has_value(); }
};

class RotatingWriter {
 public:
  // kFailedPrecondition: it cannot be opened, or rotates and is no ordinary file.
  static absl::StatusOr<std::unique_ptr<RotatingWriter>> OpenFile(const std::string& path,
                                                                  const RotationOptions& options);
  static std::unique_ptr<RotatingWriter> ForDescriptor(int descriptor, std::string name);

  // `lines` are whole, and each stays so.
  absl::Status Write(std::string_view lines, std::stop_token stop);
  // What was written survives a crash of the machine.
  absl::Status Sync();

 private:
  RotatingWriter(std::string path, const RotationOptions& options,
                 std::unique_ptr<LineWriter> writer)
      : path_(std::move(path)), options_(options), writer_(std::move(writer)) {}
  bool IsDue(size_t more) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // How much of `lines` has room in the file.
  size_t FittingSize(std::string_view lines) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Rotate() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Removes the oldest files, compresses the others; in the background when there are any.
  void Tidy() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  const RotationOptions options_;
  base::Mutex mutex_;
  std::unique_ptr<LineWriter> writer_ ABSL_GUARDED_BY(mutex_);
  uint64_t size_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time born_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  bool torn_ ABSL_GUARDED_BY(mutex_) = false;  // The last line may be cut.
  // Last: it must end first.
  std::jthread compressor_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pgflow::sinks
