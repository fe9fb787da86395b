// LineWriter: whole lines into a pipe, a terminal or a file, by one system call a piece.
//
// Thread-safe: the lines of one Write stay together. Errors: kFailedPrecondition when nobody reads
// any more, or the path cannot be written; kResourceExhausted when the disk is full; kCancelled
// after a stop (the last line may then be cut, as after a crash: OpenFile removes such a rest).
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "base/mutex.h"

namespace pgflow::sinks {

class LineWriter {
 public:
  // Appends to a file, which is created when it is missing.
  static absl::StatusOr<std::unique_ptr<LineWriter>> OpenFile(const std::string& path);
  // Writes to a descriptor that stays the caller's.
  static std::unique_ptr<LineWriter> ForDescriptor(int descriptor, std::string name);
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  absl::Status Write(std::string_view lines, std::stop_token stop);
  // What was written survives a crash of the machine. Only a file can promise that; does nothing
  // for others.
  absl::Status Sync();

 private:
  LineWriter(int descriptor, std::string name, bool owned);
  absl::Status WaitWritable(std::stop_token stop) const;
  absl::Status ErrorOf(int error_number) const;
  absl::Status CutUnfinishedLine() const;

  const int descriptor_;
  const std::string name_;
  const bool owned_;
  const bool regular_;
  base::Mutex mutex_;
  bool synced_ ABSL_GUARDED_BY(mutex_) = true;
};

}  // namespace pgflow::sinks
