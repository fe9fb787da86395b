// DeadLetterFile: changes that a sink refused, as JSON lines that `pgflow replay` can put back.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/batch.h"
#include "engine/api/sink.h"

namespace pgflow::engine {

// Thread-safe per line (O_APPEND). A line is on disk when Append returns.
class DeadLetterFile {
 public:
  // kFailedPrecondition, naming the path, when it cannot be written.
  static absl::StatusOr<std::unique_ptr<DeadLetterFile>> Open(std::string path);
  ~DeadLetterFile();
  DeadLetterFile(const DeadLetterFile&) = delete;
  DeadLetterFile& operator=(const DeadLetterFile&) = delete;

  // `event` as the sink saw it (behind the transformers), with every value in its wire form.
  absl::Status Append(std::string_view sink, const Position& position,
                      const TransactionSpan* transaction, const ChangeEvent& event,
                      const absl::Status& error);

 private:
  DeadLetterFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_;
};

// One line, ready to be written to its sink again.
struct DeadLetter {
  std::string sink;
  Position position;
  std::string error;
  Batch batch;
  std::string line;
};

// Every line of the file, in its order. kInvalidArgument names the line that cannot be read.
absl::StatusOr<std::vector<DeadLetter>> ReadDeadLetters(const std::string& path);

struct ReplayResult {
  size_t replayed = 0;
  std::vector<std::string> refused;  // "position: why", in order.
};

// Opens the sink and writes its letters, one by one, as upserts that leave its checkpoint where it
// is; rewrites the file so that it holds only what was refused again and the letters of other
// sinks.
absl::StatusOr<ReplayResult> ReplayDeadLetters(const std::string& path, const SinkContext& context,
                                               Sink& sink, std::stop_token stop);

}  // namespace pgflow::engine
