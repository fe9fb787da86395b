#include "engine/observe/progress_text.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "engine/observe/format.h"
#include "engine/observe/lag_text.h"

namespace pgflow::engine {
namespace {

constexpr size_t kBarWidth = 20;
constexpr size_t kNameWidthMax = 40;

std::string Bar(double fraction) {
  const auto full = static_cast<size_t>(std::lround(fraction * kBarWidth));
  return "[" + std::string(full, '#') + std::string(kBarWidth - full, '.') + "]";
}

bool IsActive(const TableStatus& table) {
  return !table.complete && (table.rows_done > 0 || table.ranges_done > 0);
}

// Copied, and its keys are being built.
bool IsBuilding(const TableStatus& table) {
  return !table.complete && table.ranges_total > 0 && table.ranges_done >= table.ranges_total;
}

double WeightOf(const TableStatus& table) {
  return std::max(1.0, static_cast<double>(table.bytes_total));
}

double FractionDone(const SinkStatus& sink) {
  double done = 0;
  double all = 0;
  for (const TableStatus& table : sink.tables) {
    done += WeightOf(table) * FractionDone(table);
    all += WeightOf(table);
  }
  return all == 0 ? 0 : done / all;
}

absl::Duration TimeLeftOf(double fraction, double fraction_at_first, absl::Duration spent) {
  const double gained = fraction - fraction_at_first;
  if (gained <= 0.001 || spent < absl::Seconds(1)) return absl::InfiniteDuration();
  return spent * ((1 - fraction) / gained);
}

std::string LeftText(absl::Duration left) {
  return left == absl::InfiniteDuration() ? std::string() : ShortDuration(left) + " left";
}

// The sink that lags most speaks for the pipeline.
const SinkStatus* SlowestSink(const PipelineStatus& status) {
  const auto slowest = std::max_element(
      status.sinks.begin(), status.sinks.end(),
      [](const SinkStatus& a, const SinkStatus& b) { return a.lag_bytes < b.lag_bytes; });
  return slowest == status.sinks.end() ? nullptr : &*slowest;
}

}  // namespace

double FractionDone(const TableStatus& table) {
  if (table.complete) return 1;
  double fraction = 0;
  if (table.rows_estimate > 0) {
    fraction = static_cast<double>(table.rows_done) / static_cast<double>(table.rows_estimate);
  } else if (table.bytes_total > 0) {
    fraction = static_cast<double>(table.bytes_done) / static_cast<double>(table.bytes_total);
  }
  // Ranges that are done count as done, whatever the statistics believe.
  if (table.ranges_total > 0) {
    fraction = std::max(fraction, static_cast<double>(table.ranges_done) / table.ranges_total);
  }
  return std::min(fraction, 0.99);
}

void Rate::Add(uint64_t total, absl::Time now) {
  if (at_ == absl::InfinitePast() || total < total_) {
    total_ = total;
    at_ = now;
    return;
  }
  const double seconds = absl::ToDoubleSeconds(now - at_);
  if (seconds < 0.05) return;
  const double latest = static_cast<double>(total - total_) / seconds;
  // About the mean of the last three seconds; at once where there was nothing or is nothing.
  const double weight = per_second_ == 0 ? 1.0 : std::min(1.0, seconds / 3.0);
  per_second_ += weight * (latest - per_second_);
  total_ = total;
  at_ = now;
}

void ProgressText::Update(const PipelineStatus& status, absl::Time now) {
  status_ = status;
  now_ = now;
  events_.Add(status.events, now);
  transactions_.Add(status.transactions, now);
  for (const SinkStatus& sink : status.sinks) {
    uint64_t bytes = 0;
    for (const TableStatus& table : sink.tables) {
      bytes += table.bytes_done;
      TableTrack& track = tables_[{sink.name, table.table}];
      track.rows.Add(table.rows_done, now);
      track.bytes.Add(table.bytes_done, now);
      if (track.first_row == absl::InfiniteFuture() && IsActive(table)) {
        track.first_row = now;
        track.fraction_at_first = FractionDone(table);
      }
    }
    snapshot_bytes_[sink.name].Add(bytes, now);
  }
}

std::string ProgressText::TableLine(const SinkStatus& sink, const TableStatus& table,
                                    size_t name_width) const {
  const double fraction = FractionDone(table);
  std::string line = fmt::format(
      "  {} {} {:>3.0f}%  {:>13} rows  {:>10}", FitWidth(table.table.ToString(), name_width),
      Bar(fraction), fraction * 100, FormatCount(table.rows_done), FormatBytes(table.bytes_done));
  if (IsBuilding(table)) return line + "  building keys";
  if (!IsActive(table)) return line;
  const auto found = tables_.find({sink.name, table.table});
  if (found == tables_.end()) return line;
  const TableTrack& track = found->second;
  line += fmt::format("  {:>6} rows/s  {:>10}/s", FormatRate(track.rows.per_second()),
                      FormatBytes(static_cast<uint64_t>(track.bytes.per_second())));
  const absl::Duration left = TimeLeftOf(fraction, track.fraction_at_first, now_ - track.first_row);
  if (left != absl::InfiniteDuration()) line += "  " + LeftText(left);
  return line;
}

absl::Duration ProgressText::TimeLeft(const SinkStatus& sink) const {
  const auto found = snapshot_bytes_.find(sink.name);
  if (found == snapshot_bytes_.end() || found->second.per_second() < 1) {
    return absl::InfiniteDuration();
  }
  // What is left on disk, in bytes of the COPY stream: scaled by what the tables gave so far.
  double left = 0;
  double done_disk = 0;
  double done_stream = 0;
  for (const TableStatus& table : sink.tables) {
    const double fraction = FractionDone(table);
    left += (1 - fraction) * static_cast<double>(table.bytes_total);
    done_disk += fraction * static_cast<double>(table.bytes_total);
    done_stream += static_cast<double>(table.bytes_done);
  }
  if (done_disk < 1) return absl::InfiniteDuration();
  return absl::Seconds(left * (done_stream / done_disk) / found->second.per_second());
}

std::string ProgressText::SnapshotSummary(const SinkStatus& sink) const {
  if (sink.tables.empty()) return fmt::format("snapshot into {}: preparing", sink.name);
  uint64_t rows = 0;
  uint64_t bytes = 0;
  size_t complete = 0;
  for (const TableStatus& table : sink.tables) {
    rows += table.rows_done;
    bytes += table.bytes_done;
    complete += table.complete ? 1 : 0;
  }
  const auto rate = snapshot_bytes_.find(sink.name);
  const double per_second = rate == snapshot_bytes_.end() ? 0 : rate->second.per_second();
  std::string text =
      fmt::format("snapshot into {}: {} of {} tables, {:.0f}%, {} rows, {}, {}/s", sink.name,
                  complete, sink.tables.size(), FractionDone(sink) * 100, FormatCount(rows),
                  FormatBytes(bytes), FormatBytes(static_cast<uint64_t>(per_second)));
  const std::string left = LeftText(TimeLeft(sink));
  if (!left.empty()) text += ", about " + left;
  if (!sink.last_error.empty()) text += ", retrying after: " + sink.last_error;
  return text;
}

void ProgressText::AppendSnapshotLines(const SinkStatus& sink, size_t budget,
                                       std::vector<std::string>& lines) const {
  lines.push_back(SnapshotSummary(sink));
  // Those at work first, then those that wait, the largest first; the finished last.
  std::vector<const TableStatus*> tables;
  size_t name_width = 0;
  for (const TableStatus& table : sink.tables) {
    tables.push_back(&table);
    name_width = std::max(name_width, table.table.ToString().size());
  }
  name_width = std::min(name_width, kNameWidthMax);
  const auto rank = [](const TableStatus& table) {
    return IsActive(table) ? 0 : table.complete ? 2 : 1;
  };
  std::stable_sort(tables.begin(), tables.end(), [&](const TableStatus* a, const TableStatus* b) {
    if (rank(*a) != rank(*b)) return rank(*a) < rank(*b);
    return a->bytes_total > b->bytes_total;
  });
  const bool all_fit = tables.size() + 1 <= budget;
  const size_t shown = all_fit ? tables.size() : (budget < 2 ? 0 : budget - 2);
  for (size_t i = 0; i < shown; ++i) lines.push_back(TableLine(sink, *tables[i], name_width));
  if (!all_fit) lines.push_back(fmt::format("  and {} more tables", tables.size() - shown));
}

std::string ProgressText::StreamSummary() const {
  const SinkStatus* slowest = SlowestSink(status_);
  std::string text = fmt::format("{}: ", PhaseName(status_.phase));
  if (slowest != nullptr) {
    text +=
        fmt::format("lag {}, {} behind, ", LagText(status_, *slowest), ShortDuration(slowest->lag));
  }
  text += fmt::format("{} events/s, {} transactions/s", FormatRate(events_.per_second()),
                      FormatRate(transactions_.per_second()));
  if (status_.spool_bytes > 0) text += fmt::format(", spool {}", FormatBytes(status_.spool_bytes));
  if (status_.retained_wal_bytes > 0) {
    text += fmt::format(", slot keeps {}", FormatBytes(status_.retained_wal_bytes));
  }
  return text;
}

void ProgressText::AppendStreamLines(std::vector<std::string>& lines) const {
  lines.push_back(StreamSummary());
  size_t name_width = 0;
  for (const SinkStatus& sink : status_.sinks) name_width = std::max(name_width, sink.name.size());
  name_width = std::min(name_width, kNameWidthMax);
  for (const SinkStatus& sink : status_.sinks) {
    std::string line =
        fmt::format("  {}  at {:<12}  lag {:>10}  {:>8}  {:>13} events",
                    FitWidth(sink.name, name_width), PositionText(status_, sink.durable_lsn),
                    LagText(status_, sink), ShortDuration(sink.lag), FormatCount(sink.events));
    if (sink.phase != status_.phase) line += fmt::format("  {}", PhaseName(sink.phase));
    if (sink.rejections > 0) line += fmt::format("  {} rejected", FormatCount(sink.rejections));
    if (sink.skipped > 0) line += fmt::format("  {} passed over", FormatCount(sink.skipped));
    if (!sink.last_error.empty()) line += "  retrying after: " + sink.last_error;
    lines.push_back(line);
  }
}

std::vector<std::string> ProgressText::Lines(size_t width, size_t height) const {
  std::vector<std::string> lines;
  const auto in_snapshot = static_cast<size_t>(
      std::count_if(status_.sinks.begin(), status_.sinks.end(),
                    [](const SinkStatus& sink) { return sink.phase == Phase::kSnapshot; }));
  if (status_.phase == Phase::kStandby) {
    lines.emplace_back("standby: another pgflow has the slot; waiting to take over");
  } else if (status_.phase == Phase::kStarting) {
    lines.emplace_back("starting");
  } else {
    const size_t budget =
        in_snapshot == 0 ? 0 : (height - std::min(height, status_.sinks.size() + 1)) / in_snapshot;
    for (const SinkStatus& sink : status_.sinks) {
      if (sink.phase == Phase::kSnapshot) AppendSnapshotLines(sink, budget, lines);
    }
    // Sinks that take a snapshot have no frontier to show yet.
    if (in_snapshot == 0 || in_snapshot < status_.sinks.size()) AppendStreamLines(lines);
  }
  if (lines.size() > height) lines.resize(height);
  for (std::string& line : lines) line = CutWidth(line, width);
  return lines;
}

std::vector<std::string> ProgressText::PlainLines() const {
  if (status_.phase == Phase::kStandby) {
    return {"standby: another pgflow has the slot; waiting to take over"};
  }
  if (status_.phase == Phase::kStarting) return {};
  std::vector<std::string> lines;
  for (const SinkStatus& sink : status_.sinks) {
    if (sink.phase == Phase::kSnapshot) lines.push_back(SnapshotSummary(sink));
  }
  if (lines.size() == status_.sinks.size() && !lines.empty()) return lines;
  std::string line = StreamSummary();
  for (const SinkStatus& sink : status_.sinks) {
    if (sink.phase == Phase::kSnapshot) continue;  // Has its own line above.
    line += fmt::format(", {} at {}", sink.name, sink.durable_lsn);
    if (!sink.last_error.empty()) line += fmt::format(" (retrying after: {})", sink.last_error);
  }
  lines.push_back(std::move(line));
  return lines;
}

}  // namespace pgflow::engine
