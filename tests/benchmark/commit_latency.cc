// commit_latency SOURCE_URL TARGET_URL COUNT: how long after COMMIT returned on the source a row is
// visible on the target. Needs the table latency (id bigint PRIMARY KEY, note text) on both sides
// and something that replicates it. Prints "p50 p99 max" in milliseconds. One thread.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <fmt/format.h>

#include "base/status.h"
#include "postgres/client/connection.h"

namespace pgflow {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kWarmUpCommits = 50;
constexpr std::chrono::seconds kPatience{30};
// Longer than a window takes, so that each commit finds an idle system.
constexpr std::chrono::milliseconds kPause{3};

struct Sessions {
  std::unique_ptr<postgres::Connection> source;
  std::unique_ptr<postgres::Connection> target;
};

absl::StatusOr<Sessions> Connect(const char* source_url, const char* target_url) {
  Sessions sessions;
  postgres::ConnectOptions options;
  options.application_name = "commit_latency";
  options.url = source_url;
  PGFLOW_ASSIGN_OR_RETURN(sessions.source, postgres::Connection::Connect(options, {}));
  options.url = target_url;
  PGFLOW_ASSIGN_OR_RETURN(sessions.target, postgres::Connection::Connect(options, {}));
  PGFLOW_RETURN_IF_ERROR(sessions.source->Prepare(
      "write", "INSERT INTO public.latency VALUES ($1::bigint, 'one row at a time')"));
  PGFLOW_RETURN_IF_ERROR(
      sessions.target->Prepare("look", "SELECT 1 FROM public.latency WHERE id = $1::bigint"));
  return sessions;
}

// Milliseconds from the return of the commit to the end of the first query that sees the row.
absl::StatusOr<double> MeasureOne(Sessions& sessions, int64_t id) {
  const std::string text = fmt::format("{}", id);
  const postgres::Parameter parameter = postgres::Parameter::Text(text);
  PGFLOW_RETURN_IF_ERROR(sessions.source->ExecutePrepared("write", {&parameter, 1}).status());
  const SteadyClock::time_point committed = SteadyClock::now();
  while (true) {
    PGFLOW_ASSIGN_OR_RETURN(const postgres::Result rows,
                            sessions.target->ExecutePrepared("look", {&parameter, 1}));
    const SteadyClock::duration waited = SteadyClock::now() - committed;
    if (rows.row_count() == 1) {
      return std::chrono::duration<double, std::milli>(waited).count();
    }
    if (waited > kPatience) {
      return base::MakeStatus(absl::StatusCode::kDeadlineExceeded,
                              "row {} did not reach the target within {} s", id, kPatience.count());
    }
  }
}

absl::Status Measure(const char* source_url, const char* target_url, int count) {
  PGFLOW_ASSIGN_OR_RETURN(Sessions sessions, Connect(source_url, target_url));
  std::vector<double> milliseconds;
  milliseconds.reserve(static_cast<size_t>(count));
  for (int i = 0; i < kWarmUpCommits + count; ++i) {
    PGFLOW_ASSIGN_OR_RETURN(const double one, MeasureOne(sessions, i));
    if (i >= kWarmUpCommits) milliseconds.push_back(one);
    // Pacing, not synchronisation: the row has arrived.
    std::this_thread::sleep_for(kPause);
  }
  std::ranges::sort(milliseconds);
  const size_t last = milliseconds.size() - 1;
  fmt::print("{:.3f} {:.3f} {:.3f}\n", milliseconds[last / 2], milliseconds[last * 99 / 100],
             milliseconds[last]);
  return absl::OkStatus();
}

}  // namespace
}  // namespace pgflow

int main(int argc, char** argv) {
  const int count = argc == 4 ? std::atoi(argv[3]) : 0;
  if (count <= 0) {
    fmt::print(stderr, "usage: commit_latency SOURCE_URL TARGET_URL COUNT\n");
    return 2;
  }
  const absl::Status status = pgflow::Measure(argv[1], argv[2], count);
  if (!status.ok()) {
    fmt::print(stderr, "commit_latency: {}\n", pgflow::base::Message(status));
    return 1;
  }
  return 0;
}
