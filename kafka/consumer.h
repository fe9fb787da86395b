// Consumer: reads given partitions from given offsets; no group, nothing is committed.
//
// One thread at a time. Errors as kafka/client.h says.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "kafka/settings.h"

namespace pgflow::kafka {

class Client;

enum class Isolation { kReadCommitted, kReadUncommitted };

struct PartitionOffset {
  int32_t partition = 0;
  int64_t offset = 0;  // The next one to read; 0 of a shortened partition is its first.
};

// Views are valid until the next Poll.
struct Record {
  int32_t partition = 0;
  int64_t offset = 0;
  // Milliseconds since 1970: of the broker or of the producer, as the topic's
  // message.timestamp.type says; -1: it has none.
  int64_t timestamp_ms = -1;
  bool has_key = false;
  bool has_value = false;
  std::string_view key;
  std::string_view value;
  std::vector<std::pair<std::string_view, std::string_view>> headers;
};

// What one Poll found.
struct Polled {
  enum class Kind {
    kRecord,
    kEnd,      // `record` has partition and offset: nothing readable is behind it now.
    kNothing,  // The wait was over.
  };
  Kind kind = Kind::kNothing;
  Record record;
};

class Consumer {
 public:
  // Reading on where nothing is kept any more goes to the first there is, or, with
  // "auto.offset.reset" set to "error", is kFailedPrecondition.
  static absl::StatusOr<std::unique_ptr<Consumer>> Make(const Settings& settings,
                                                        Isolation isolation);
  ~Consumer();
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  absl::Status Assign(const std::string& topic, std::span<const PartitionOffset> partitions);
  absl::StatusOr<Polled> Poll(absl::Duration wait);
  // The end of a partition as the last answer of its broker had it, open transactions included;
  // nothing before the first.
  std::optional<int64_t> KnownEnd(const std::string& topic, int32_t partition) const;
  // The first offset that is kept, and the end, as the broker has them now.
  struct Bounds {
    int64_t first = 0;
    int64_t end = 0;
  };
  absl::StatusOr<Bounds> AskBounds(const std::string& topic, int32_t partition,
                                   absl::Duration patience, std::stop_token stop) const;

 private:
  struct Current;
  explicit Consumer(std::unique_ptr<Client> client);

  std::unique_ptr<Client> client_;
  std::unique_ptr<Current> current_;
};

}  // namespace pgflow::kafka
