// Telemetry: plain counters that the engine and its components update and the observers read.
#pragma once

#include <atomic>
#include <cstdint>

namespace pgflow::engine {

// Every field: relaxed atomics, any thread. Totals since the process started, unless a gauge.
struct SourceTelemetry {
  std::atomic<uint64_t> events{0};
  std::atomic<uint64_t> transactions{0};
  std::atomic<uint64_t> bytes{0};
  std::atomic<uint64_t> server_lsn{0};         // Gauge: end of WAL as the server last said.
  std::atomic<uint64_t> received_lsn{0};       // Gauge.
  std::atomic<uint64_t> acknowledged_lsn{0};   // Gauge.
  std::atomic<uint64_t> open_transactions{0};  // Gauge: streamed, not yet committed.
  std::atomic<uint64_t> reconnects{0};
  // Gauge: when the server last said anything in the stream, in microseconds of Unix time. 0: not
  // yet, or the source does not say.
  std::atomic<int64_t> heard_micros{0};
};

}  // namespace pgflow::engine
