#include "engine/observe/top_text.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/observe/format.h"
#include "engine/observe/lag_text.h"

namespace pgflow::engine {
namespace {

std::string BytesRate(const Rate& rate) {
  return FormatBytes(static_cast<uint64_t>(rate.per_second()));
}

// The lines of a text that ends with a newline.
void AppendLines(const std::string& text, std::vector<std::string>& lines) {
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    lines.push_back(text.substr(start, end - start));
    start = end + 1;
  }
}

}  // namespace

double TopText::TableRates::changes_per_second() const {
  double sum = 0;
  for (const Rate& rate : changes) sum += rate.per_second();
  return sum;
}

void TopText::Update(const PipelineStatus& status, const std::vector<TableActivity>& activity,
                     absl::Time now) {
  status_ = status;
  events_.Add(status.events, now);
  transactions_.Add(status.transactions, now);
  bytes_.Add(status.bytes, now);
  const absl::Time before = std::exchange(now_, now);
  for (const SinkStatus& sink : status.sinks) UpdateSink(sink);
  for (const TableActivity& table : activity) {
    const auto [entry, fresh] = tables_.try_emplace({table.sink, table.table});
    TableRates& rates = entry->second;
    for (size_t i = 0; i < kOperationCount; ++i) {
      // What is new since the last sample came since then.
      if (fresh && before != absl::InfinitePast()) rates.changes[i].Add(0, before);
      rates.changes[i].Add(table.changes[i], now);
    }
    if (fresh && before != absl::InfinitePast()) rates.bytes.Add(0, before);
    rates.bytes.Add(table.bytes, now);
  }
}

void TopText::UpdateSink(const SinkStatus& sink) {
  SinkRates& rates = sinks_[sink.name];
  rates.events.Add(sink.events, now_);
  rates.bytes.Add(sink.bytes, now_);
  if (sink.windows < rates.windows) rates = {};  // Another process answers.
  if (sink.windows > rates.windows) {
    rates.latency =
        (sink.write_time - rates.write_time) / static_cast<double>(sink.windows - rates.windows);
  }
  rates.windows = sink.windows;
  rates.write_time = sink.write_time;
}

std::string TopText::Heading() const {
  return fmt::format(
      "{}: {}, received {} changes/s in {} transactions/s, {}/s; held {} in memory, {} in the "
      "spool; {} of WAL retained",
      status_.pipeline, PhaseName(status_.phase), FormatRate(events_.per_second()),
      FormatRate(transactions_.per_second()), BytesRate(bytes_), FormatBytes(status_.memory_bytes),
      FormatBytes(status_.spool_bytes), FormatBytes(status_.retained_wal_bytes));
}

std::string TopText::SinkTable() const {
  std::vector<std::vector<std::string>> rows = {
      {"SINK", "PHASE", "FRONTIER", "LAG", "BEHIND", "CHANGES/S", "BYTES/S", "WRITE", "QUEUE"}};
  for (const SinkStatus& sink : status_.sinks) {
    const SinkRates& rates = sinks_.at(sink.name);
    rows.push_back({sink.name, std::string(PhaseName(sink.phase)),
                    PositionText(status_, sink.durable_lsn), LagText(status_, sink),
                    ShortDuration(sink.lag), FormatRate(rates.events.per_second()),
                    BytesRate(rates.bytes), sink.windows == 0 ? "-" : ShortDuration(rates.latency),
                    FormatBytes(sink.queue_bytes)});
  }
  return FormatTable(rows, {false, false, false, true, true, true, true, true, true});
}

std::vector<TopText::TableKey> TopText::Busiest() const {
  std::vector<TableKey> keys;
  for (const auto& [key, rates] : tables_) keys.push_back(key);
  std::ranges::stable_sort(keys, std::ranges::greater(), [this](const TableKey& key) {
    return tables_.at(key).changes_per_second();
  });
  return keys;
}

std::string TopText::TableTable(size_t rows_max) const {
  const bool several = status_.sinks.size() > 1;
  std::vector<std::vector<std::string>> rows = {
      {"TABLE", "READ/S", "INSERT/S", "UPDATE/S", "DELETE/S", "BYTES/S"}};
  std::vector<bool> right = {false, true, true, true, true, true};
  if (several) rows[0].insert(rows[0].begin() + 1, "SINK");
  if (several) right.insert(right.begin() + 1, false);
  for (const TableKey& key : Busiest()) {
    if (rows.size() > rows_max) break;
    const TableRates& rates = tables_.at(key);
    std::vector<std::string>& row = rows.emplace_back();
    row.push_back(key.second.ToString());
    if (several) row.push_back(key.first);
    for (const Operation operation :
         {Operation::kRead, Operation::kInsert, Operation::kUpdate, Operation::kDelete}) {
      row.push_back(FormatRate(rates.per_second(operation)));
    }
    row.push_back(BytesRate(rates.bytes));
  }
  return FormatTable(rows, right);
}

std::vector<std::string> TopText::Lines(size_t width, size_t height) const {
  std::vector<std::string> lines = {Heading()};
  if (!status_.error.empty()) lines.push_back("error: " + status_.error);
  AppendLines(SinkTable(), lines);
  for (const SinkStatus& sink : status_.sinks) {
    if (!sink.last_error.empty()) {
      lines.push_back(fmt::format("{}: retrying after: {}", sink.name, sink.last_error));
    }
  }
  lines.emplace_back();
  if (lines.size() + 2 <= height) AppendLines(TableTable(height - lines.size() - 1), lines);
  if (lines.size() > height) lines.resize(height);
  for (std::string& line : lines) line = CutWidth(line, width);
  return lines;
}

std::vector<std::string> TopText::PlainLines() const {
  std::vector<std::string> lines = {Heading()};
  for (const SinkStatus& sink : status_.sinks) {
    const SinkRates& rates = sinks_.at(sink.name);
    lines.push_back(fmt::format(
        "sink {}: {}, frontier {}, lag {}, behind {}, {} changes/s, {}/s, write {}, queue {}",
        sink.name, PhaseName(sink.phase), PositionText(status_, sink.durable_lsn),
        LagText(status_, sink), ShortDuration(sink.lag), FormatRate(rates.events.per_second()),
        BytesRate(rates.bytes), sink.windows == 0 ? "-" : ShortDuration(rates.latency),
        FormatBytes(sink.queue_bytes)));
  }
  for (const TableKey& key : Busiest()) {
    const TableRates& rates = tables_.at(key);
    if (rates.changes_per_second() < 0.05) continue;
    std::string line = fmt::format("table {} into {}:", key.second.ToString(), key.first);
    for (size_t i = 0; i < kOperationCount; ++i) {
      const auto operation = static_cast<Operation>(i);
      if (rates.per_second(operation) < 0.05) continue;
      line += fmt::format(" {} {}/s,", FormatRate(rates.per_second(operation)),
                          OperationName(operation));
    }
    lines.push_back(fmt::format("{} {}/s", line, BytesRate(rates.bytes)));
  }
  return lines;
}

}  // namespace pgflow::engine
