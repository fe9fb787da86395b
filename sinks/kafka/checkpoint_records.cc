#include "sinks/kafka/checkpoint_records.h"

#include <exception>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/status.h"

namespace pgflow::sinks {
namespace {

using engine::BlockRange;
using engine::SinkCheckpoint;
using engine::TableProgress;
using nlohmann::json;
using postgres::Lsn;

// Names in a database may be any bytes; JSON is UTF-8.
std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

Lsn LsnOf(const json& value, const char* name) {
  return Lsn::Parse(value.at(name).get<std::string>()).value_or(Lsn());
}

}  // namespace

CheckpointKeys::CheckpointKeys(std::string_view pipeline, std::string_view sink) {
  prefix_ = Dump(json::array({std::string(pipeline), std::string(sink)}));
  prefix_.back() = ',';
}

CheckpointRecord CheckpointKeys::Sink(const SinkCheckpoint& checkpoint) const {
  return {prefix_ + "\"sink\"]",
          // Text: a reader that puts numbers into doubles would round it.
          Dump({{"system_identifier", std::to_string(checkpoint.identity.system_identifier)},
                {"timeline", checkpoint.identity.timeline},
                {"database", checkpoint.identity.database},
                {"slot", checkpoint.identity.slot},
                {"snapshot_complete", checkpoint.snapshot_complete},
                {"snapshot_lsn", checkpoint.snapshot_lsn.ToString()}})};
}

CheckpointRecord CheckpointKeys::Stream(engine::StreamPoint point) const {
  return {prefix_ + "\"stream\"]",
          fmt::format(R"({{"commit_lsn":"{}","end_lsn":"{}"}})", point.commit_lsn, point.end_lsn)};
}

CheckpointRecord CheckpointKeys::Owner(const CheckpointOwner& owner) const {
  return {prefix_ + "\"owner\"]", Dump({{"owner", owner.name}, {"lanes", owner.lanes}})};
}

CheckpointRecord CheckpointKeys::Table(const TableProgress& progress) const {
  return {fmt::format("{}\"table\",{},{}]", prefix_, Dump(progress.table.schema),
                      Dump(progress.table.name)),
          Dump({{"snapshot_lsn", progress.snapshot_lsn.ToString()},
                {"snapshot", progress.snapshot},
                {"complete", progress.complete},
                {"catch_up_until", progress.catch_up_until.ToString()}})};
}

CheckpointRecord CheckpointKeys::Range(const schemas::TableName& table, BlockRange range) const {
  return {fmt::format("{}\"range\",{},{},{}]", prefix_, Dump(table.schema), Dump(table.name),
                      range.first),
          fmt::format(R"({{"end":{}}})", range.end)};
}

absl::Status CheckpointRecords::Apply(std::string_view key, std::optional<std::string_view> value) {
  if (!key.starts_with(prefix_)) return absl::OkStatus();
  try {
    const json parts = json::parse(key);
    const std::string kind = parts.at(2).get<std::string>();
    if (kind == "owner") {
      owner_ = {};
      if (!value.has_value()) return absl::OkStatus();
      const json owner = json::parse(*value);
      owner_ = {owner.at("owner").get<std::string>(),
                owner.at("lanes").get<std::vector<uint32_t>>()};
      return absl::OkStatus();
    }
    if (kind == "table" || kind == "range") {
      std::optional<uint32_t> range;
      if (kind == "range") range = parts.at(5).get<uint32_t>();
      return ApplyTable(key, {parts.at(3).get<std::string>(), parts.at(4).get<std::string>()},
                        range, value);
    }
    if (value.has_value()) {
      keys_[std::string(key)] = {};
    } else {
      keys_.erase(std::string(key));
    }
    if (kind == "stream") {
      stream_ = {};
      if (!value.has_value()) return absl::OkStatus();
      const json stream = json::parse(*value);
      stream_ = {LsnOf(stream, "commit_lsn"), LsnOf(stream, "end_lsn")};
    } else if (kind == "sink") {
      sink_.reset();
      if (!value.has_value()) return absl::OkStatus();
      const json sink = json::parse(*value);
      sink_.emplace();
      sink_->identity.system_identifier =
          std::stoull(sink.at("system_identifier").get<std::string>());
      sink_->identity.timeline = sink.at("timeline").get<uint32_t>();
      sink_->identity.database = sink.at("database").get<std::string>();
      sink_->identity.slot = sink.at("slot").get<std::string>();
      sink_->snapshot_complete = sink.at("snapshot_complete").get<bool>();
      // An older version wrote none.
      if (sink.contains("snapshot_lsn")) sink_->snapshot_lsn = LsnOf(sink, "snapshot_lsn");
    }
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return base::MakeStatus(absl::StatusCode::kDataLoss,
                            "checkpoint record {}: {}; did another program write to the topic?",
                            key, error.what());
  }
}

absl::Status CheckpointRecords::ApplyTable(std::string_view key, const schemas::TableName& name,
                                           std::optional<uint32_t> range,
                                           std::optional<std::string_view> value) {
  Table& table = tables_[name];
  if (!value.has_value()) {
    keys_.erase(std::string(key));
    if (range.has_value()) {
      table.ranges.erase(*range);
    } else {
      table.begun = false;
    }
    return absl::OkStatus();
  }
  keys_[std::string(key)] = name;
  const json read = json::parse(*value);
  if (range.has_value()) {
    table.ranges[*range] = read.at("end").get<uint32_t>();
    return absl::OkStatus();
  }
  table.begun = true;
  table.progress.table = name;
  table.progress.snapshot_lsn = LsnOf(read, "snapshot_lsn");
  table.progress.snapshot = read.at("snapshot").get<std::string>();
  table.progress.complete = read.at("complete").get<bool>();
  table.progress.catch_up_until = LsnOf(read, "catch_up_until");
  return absl::OkStatus();
}

std::optional<SinkCheckpoint> CheckpointRecords::checkpoint() const {
  if (!sink_.has_value()) return std::nullopt;
  SinkCheckpoint checkpoint = *sink_;
  checkpoint.stream = stream_;
  for (const auto& [name, table] : tables_) {
    if (!table.begun) continue;
    TableProgress progress = table.progress;
    progress.finished.reserve(table.ranges.size());
    for (const auto& [first, end] : table.ranges) progress.finished.push_back({first, end});
    checkpoint.tables.push_back(std::move(progress));
  }
  return checkpoint;
}

std::vector<std::string> CheckpointRecords::KeysOf(
    const std::set<schemas::TableName>& tables) const {
  std::vector<std::string> found;
  for (const auto& [key, name] : keys_) {
    if (tables.contains(name)) found.push_back(key);
  }
  return found;
}

std::vector<std::string> CheckpointRecords::Keys() const {
  std::vector<std::string> found;
  found.reserve(keys_.size());
  for (const auto& [key, name] : keys_) found.push_back(key);
  return found;
}

}  // namespace pgflow::sinks
