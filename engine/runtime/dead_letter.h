// DeadLetter: one change that a sink refused, as a JSON line that can become the change again.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/batch.h"

namespace pgflow::engine {

// What is written down of a refused change.
struct Refusal {
  std::string_view sink;
  Position position;
  size_t part = 0;                               // A transformer may make several events of one.
  const TransactionSpan* transaction = nullptr;  // Null for a row of a snapshot.
  const ChangeEvent& event;                      // As the sink saw it, behind the transformers.
  const absl::Status& error;
};

struct DeadLetter {
  std::string sink;
  Position position;
  std::string error;
  // One event: an insert is an upsert and a delete may find nothing (catch_up), because the row may
  // have been mended by hand; an update has to find its row.
  Batch batch;
};

// One line, without its newline. Every value is in its wire form. `queue` names the queue that has
// the letter.
std::string EncodeDeadLetter(const Refusal& refusal, std::string_view queue);
// kInvalidArgument when that is not possible.
absl::StatusOr<DeadLetter> DecodeDeadLetter(const std::string& line);
// The same line with another error, or in another queue.
std::string WithError(const std::string& line, const absl::Status& error);
std::string WithQueue(const std::string& line, std::string_view queue);
// The queue that has it; empty for a line of a version that had none.
std::string QueueOf(const std::string& line);

// What names the rows that the change is about: of an update that moves its key two. Each begins
// with how it is spelt (columns and forms), a word by itself: texts that are spelt differently
// cannot be compared. Empty: nothing names them.
std::vector<std::string> RowKeys(const ChangeEvent& event);
// The first word of a key.
std::string_view SpellingOf(std::string_view key);

}  // namespace pgflow::engine
