#include "engine/observe/status_text.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/observe/format.h"
#include "engine/observe/lag_text.h"

namespace pgflow::engine {
namespace {

constexpr size_t kEndpointsShown = 50;

std::string RowsCell(const TableStatus& table) {
  if (table.complete || table.rows_estimate < 0) return FormatCount(table.rows_done);
  return fmt::format("{} of ~{}", FormatCount(table.rows_done),
                     FormatCount(static_cast<uint64_t>(table.rows_estimate)));
}

void AppendSnapshot(const SinkStatus& sink, std::string& text) {
  if (sink.tables.empty()) return;
  uint64_t rows = 0;
  uint64_t bytes = 0;
  for (const TableStatus& table : sink.tables) {
    rows += table.rows_done;
    bytes += table.bytes_done;
  }
  const auto complete = std::count_if(sink.tables.begin(), sink.tables.end(),
                                      [](const TableStatus& table) { return table.complete; });
  text += fmt::format("\nsnapshot into {}: {} of {} tables, {} rows, {}\n", sink.name, complete,
                      sink.tables.size(), FormatCount(rows), FormatBytes(bytes));
  if (static_cast<size_t>(complete) == sink.tables.size()) return;
  std::vector<std::vector<std::string>> rows_of_text = {
      {"TABLE", "ROWS", "COPIED", "ON DISK", "RANGES", "STATE"}};
  for (const TableStatus& table : sink.tables) {
    const bool waiting = table.rows_done == 0 && table.ranges_done == 0;
    rows_of_text.push_back({table.table.ToString(), RowsCell(table), FormatBytes(table.bytes_done),
                            FormatBytes(table.bytes_total),
                            fmt::format("{}/{}", table.ranges_done, table.ranges_total),
                            table.complete ? "complete"
                            : waiting      ? "waiting"
                                           : "copying"});
  }
  text += FormatTable(rows_of_text, {false, true, true, true, true, false});
}

void AppendSinks(const PipelineStatus& status, std::string& text) {
  std::vector<std::vector<std::string>> rows = {{"SINK", "TYPE", "PHASE", "FRONTIER", "LAG",
                                                 "BEHIND", "EVENTS", "QUEUE", "WRITE", "RETRIES",
                                                 "REJECTED"}};
  for (const SinkStatus& sink : status.sinks) {
    const std::string write =
        sink.windows == 0 ? "-"
                          : ShortDuration(sink.write_time / static_cast<double>(sink.windows));
    rows.push_back({sink.name, sink.type, std::string(PhaseName(sink.phase)),
                    PositionText(status, sink.durable_lsn), LagText(status, sink),
                    ShortDuration(sink.lag), FormatCount(sink.events),
                    FormatBytes(sink.queue_bytes), write, FormatCount(sink.retries),
                    FormatCount(sink.rejections)});
  }
  text += "\n" +
          FormatTable(rows, {false, false, false, false, true, true, true, true, true, true, true});
  for (const SinkStatus& sink : status.sinks) {
    if (!sink.last_error.empty()) {
      text += fmt::format("sink {}: retrying after: {}\n", sink.name, sink.last_error);
    }
    if (sink.skipped > 0) {
      text += fmt::format("sink {}: {} changes passed over, as its options say (see the log)\n",
                          sink.name, FormatCount(sink.skipped));
    }
  }
}

// The ones in trouble first.
void AppendEndpoints(const SinkStatus& sink, std::string& text) {
  if (sink.endpoints.empty()) return;
  std::vector<const EndpointStatus*> endpoints;
  for (const EndpointStatus& endpoint : sink.endpoints) endpoints.push_back(&endpoint);
  std::ranges::stable_sort(endpoints, [](const EndpointStatus* one, const EndpointStatus* other) {
    return !one->error.empty() && other->error.empty();
  });
  text += fmt::format("\nendpoints of {}: {}\n", sink.name, endpoints.size());
  const size_t shown = std::min(endpoints.size(), kEndpointsShown);
  std::vector<std::vector<std::string>> rows = {
      {"ENDPOINT", "TARGET", "STATE", "WAITING", "BYTES", "DELIVERED", "DROPPED"}};
  for (size_t i = 0; i < shown; ++i) {
    const EndpointStatus& each = *endpoints[i];
    rows.push_back({each.name, each.target, each.state, FormatCount(each.waiting),
                    FormatBytes(each.waiting_bytes), FormatCount(each.delivered),
                    FormatCount(each.dropped)});
  }
  text += FormatTable(rows, {false, false, false, true, true, true, true});
  for (size_t i = 0; i < shown; ++i) {
    const EndpointStatus& each = *endpoints[i];
    if (!each.error.empty()) text += fmt::format("endpoint {}: {}\n", each.name, each.error);
  }
  if (shown < endpoints.size()) {
    text += fmt::format("{} more (pgflow status --json)\n", endpoints.size() - shown);
  }
}

}  // namespace

std::string StatusToText(const PipelineStatus& status, absl::Time now) {
  std::string text = fmt::format("pipeline {}: {}", status.pipeline, PhaseName(status.phase));
  if (status.started != absl::UnixEpoch()) {
    text += fmt::format(", up {}", ShortDuration(now - status.started));
  }
  text += "\n";
  if (!status.error.empty()) text += fmt::format("error: {}\n", status.error);
  if (!status.stalled.empty()) text += fmt::format("stalled: {}\n", status.stalled);
  text += fmt::format("source: {}\n", status.source);
  if (status.counts_messages) {
    text += fmt::format("log: {}\n", status.slot);
  } else {
    text += fmt::format("slot: {} ({}), {} of WAL retained\n", status.slot,
                        status.slot_wal_status.empty() ? "state unknown" : status.slot_wal_status,
                        FormatBytes(status.retained_wal_bytes));
  }
  if (!status.ddl.empty()) text += fmt::format("ddl: {}\n", status.ddl);
  text += fmt::format("position{}: server {}, received {}, acknowledged {}\n",
                      status.counts_messages ? " (offsets, all parts together)" : "",
                      PositionText(status, status.server_lsn),
                      PositionText(status, status.received_lsn),
                      PositionText(status, status.acknowledged_lsn));
  text += fmt::format("received: {} events in {} transactions, {}; {} open, {} reconnects\n",
                      FormatCount(status.events), FormatCount(status.transactions),
                      FormatBytes(status.bytes), FormatCount(status.open_transactions),
                      FormatCount(status.source_reconnects));
  text += fmt::format("held: {} in memory, {} in the spool\n", FormatBytes(status.memory_bytes),
                      FormatBytes(status.spool_bytes));
  AppendSinks(status, text);
  for (const SinkStatus& sink : status.sinks) AppendSnapshot(sink, text);
  for (const SinkStatus& sink : status.sinks) AppendEndpoints(sink, text);
  return text;
}

}  // namespace pgflow::engine
