#include "engine/observe/status_json.h"

#include <array>

#include <nlohmann/json.hpp>

#include "base/status.h"

namespace pgflow::engine {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array kPhases = {Phase::kStarting, Phase::kStandby,   Phase::kSnapshot,
                                Phase::kCatchUp,  Phase::kStreaming, Phase::kStopping,
                                Phase::kFailed};

Json TimeJson(absl::Time time) {
  if (time == absl::UnixEpoch()) return nullptr;
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone());
}

Json TableJson(const TableStatus& table) {
  return {{"schema", table.table.schema},       {"table", table.table.name},
          {"bytes_total", table.bytes_total},   {"rows_estimate", table.rows_estimate},
          {"rows_done", table.rows_done},       {"bytes_done", table.bytes_done},
          {"ranges_total", table.ranges_total}, {"ranges_done", table.ranges_done},
          {"complete", table.complete}};
}

Json EndpointJson(const EndpointStatus& endpoint) {
  return {{"name", endpoint.name},           {"state", endpoint.state},
          {"target", endpoint.target},       {"error", endpoint.error},
          {"waiting", endpoint.waiting},     {"waiting_bytes", endpoint.waiting_bytes},
          {"delivered", endpoint.delivered}, {"dropped", endpoint.dropped}};
}

Json SinkJson(const SinkStatus& sink, bool counts_messages) {
  Json json = {{"name", sink.name},
               {"type", sink.type},
               {"phase", PhaseName(sink.phase)},
               {"written_lsn", sink.written_lsn.ToString()},
               {"durable_lsn", sink.durable_lsn.ToString()},
               {"durable_commit_time", TimeJson(sink.durable_commit_time)},
               {counts_messages ? "lag_messages" : "lag_bytes", sink.lag_bytes},
               {"lag_seconds", absl::ToDoubleSeconds(sink.lag)},
               {"events", sink.events},
               {"bytes", sink.bytes},
               {"transactions", sink.transactions},
               {"windows", sink.windows},
               {"queue_bytes", sink.queue_bytes},
               {"retries", sink.retries},
               {"rejections", sink.rejections},
               {"skipped", sink.skipped},
               {"write_seconds", absl::ToDoubleSeconds(sink.write_time)},
               {"write_latency_counts", sink.write_latency_counts},
               {"last_error", sink.last_error},
               {"tables", Json::array()}};
  for (const TableStatus& table : sink.tables) json["tables"].push_back(TableJson(table));
  if (sink.endpoints.empty()) return json;
  json["endpoints"] = Json::array();
  for (const EndpointStatus& each : sink.endpoints) json["endpoints"].push_back(EndpointJson(each));
  return json;
}

// Reads fields that may be missing. A wrong type throws, which StatusFromJson catches.
class Reader {
 public:
  explicit Reader(const Json& json) : json_(json) {}

  template <typename T>
  void Read(const char* name, T& value) const {
    const auto found = json_.find(name);
    if (found != json_.end()) found->get_to(value);
  }
  void Read(const char* name, postgres::Lsn& value) const {
    std::string text;
    Read(name, text);
    value = postgres::Lsn::Parse(text).value_or(postgres::Lsn());
  }
  void Read(const char* name, Phase& value) const {
    std::string text;
    Read(name, text);
    for (const Phase phase : kPhases) {
      if (PhaseName(phase) == text) value = phase;
    }
  }
  void Read(const char* name, absl::Time& value) const {
    const auto found = json_.find(name);
    if (found == json_.end() || found->is_null()) return;
    std::string ignored;
    absl::ParseTime(absl::RFC3339_full, found->get<std::string>(), &value, &ignored);
  }
  void Read(const char* name, absl::Duration& value) const {
    double seconds = 0;
    Read(name, seconds);
    value = absl::Seconds(seconds);
  }

 private:
  const Json& json_;
};

TableStatus ReadTable(const Json& json) {
  const Reader reader(json);
  TableStatus table;
  reader.Read("schema", table.table.schema);
  reader.Read("table", table.table.name);
  reader.Read("bytes_total", table.bytes_total);
  reader.Read("rows_estimate", table.rows_estimate);
  reader.Read("rows_done", table.rows_done);
  reader.Read("bytes_done", table.bytes_done);
  reader.Read("ranges_total", table.ranges_total);
  reader.Read("ranges_done", table.ranges_done);
  reader.Read("complete", table.complete);
  return table;
}

EndpointStatus ReadEndpoint(const Json& json) {
  const Reader reader(json);
  EndpointStatus endpoint;
  reader.Read("name", endpoint.name);
  reader.Read("state", endpoint.state);
  reader.Read("target", endpoint.target);
  reader.Read("error", endpoint.error);
  reader.Read("waiting", endpoint.waiting);
  reader.Read("waiting_bytes", endpoint.waiting_bytes);
  reader.Read("delivered", endpoint.delivered);
  reader.Read("dropped", endpoint.dropped);
  return endpoint;
}

SinkStatus ReadSink(const Json& json) {
  const Reader reader(json);
  SinkStatus sink;
  reader.Read("name", sink.name);
  reader.Read("type", sink.type);
  reader.Read("phase", sink.phase);
  reader.Read("written_lsn", sink.written_lsn);
  reader.Read("durable_lsn", sink.durable_lsn);
  reader.Read("durable_commit_time", sink.durable_commit_time);
  reader.Read("lag_bytes", sink.lag_bytes);
  reader.Read("lag_messages", sink.lag_bytes);
  reader.Read("lag_seconds", sink.lag);
  reader.Read("events", sink.events);
  reader.Read("bytes", sink.bytes);
  reader.Read("transactions", sink.transactions);
  reader.Read("windows", sink.windows);
  reader.Read("queue_bytes", sink.queue_bytes);
  reader.Read("retries", sink.retries);
  reader.Read("rejections", sink.rejections);
  reader.Read("skipped", sink.skipped);
  reader.Read("write_seconds", sink.write_time);
  reader.Read("write_latency_counts", sink.write_latency_counts);
  reader.Read("last_error", sink.last_error);
  if (const auto tables = json.find("tables"); tables != json.end()) {
    for (const Json& table : *tables) sink.tables.push_back(ReadTable(table));
  }
  if (const auto endpoints = json.find("endpoints"); endpoints != json.end()) {
    for (const Json& endpoint : *endpoints) sink.endpoints.push_back(ReadEndpoint(endpoint));
  }
  return sink;
}

PipelineStatus ReadPipeline(const Json& json) {
  const Reader reader(json);
  PipelineStatus status;
  reader.Read("pipeline", status.pipeline);
  reader.Read("phase", status.phase);
  reader.Read("started", status.started);
  reader.Read("source", status.source);
  reader.Read("counts_messages", status.counts_messages);
  reader.Read("slot", status.slot);
  reader.Read("slot_wal_status", status.slot_wal_status);
  reader.Read("ddl", status.ddl);
  reader.Read("retained_wal_bytes", status.retained_wal_bytes);
  reader.Read("server_lsn", status.server_lsn);
  reader.Read("received_lsn", status.received_lsn);
  reader.Read("acknowledged_lsn", status.acknowledged_lsn);
  reader.Read("events", status.events);
  reader.Read("transactions", status.transactions);
  reader.Read("bytes", status.bytes);
  reader.Read("open_transactions", status.open_transactions);
  reader.Read("source_reconnects", status.source_reconnects);
  reader.Read("memory_bytes", status.memory_bytes);
  reader.Read("spool_bytes", status.spool_bytes);
  reader.Read("spool_bytes_written", status.spool_bytes_written);
  reader.Read("stalled", status.stalled);
  reader.Read("unhealthy", status.unhealthy);
  reader.Read("error", status.error);
  if (const auto sinks = json.find("sinks"); sinks != json.end()) {
    for (const Json& sink : *sinks) status.sinks.push_back(ReadSink(sink));
  }
  return status;
}

}  // namespace

std::string StatusToJson(const PipelineStatus& status) {
  Json json = {{"pipeline", status.pipeline},
               {"phase", PhaseName(status.phase)},
               {"started", TimeJson(status.started)},
               {"source", status.source},
               {"counts_messages", status.counts_messages},
               {"slot", status.slot},
               {"slot_wal_status", status.slot_wal_status},
               {"ddl", status.ddl},
               {"retained_wal_bytes", status.retained_wal_bytes},
               {"server_lsn", status.server_lsn.ToString()},
               {"received_lsn", status.received_lsn.ToString()},
               {"acknowledged_lsn", status.acknowledged_lsn.ToString()},
               {"events", status.events},
               {"transactions", status.transactions},
               {"bytes", status.bytes},
               {"open_transactions", status.open_transactions},
               {"source_reconnects", status.source_reconnects},
               {"memory_bytes", status.memory_bytes},
               {"spool_bytes", status.spool_bytes},
               {"spool_bytes_written", status.spool_bytes_written},
               {"stalled", status.stalled},
               {"unhealthy", status.unhealthy},
               {"error", status.error},
               {"sinks", Json::array()}};
  for (const SinkStatus& sink : status.sinks)
    json["sinks"].push_back(SinkJson(sink, status.counts_messages));
  // Names may hold bytes that are not UTF-8; the status must be readable all the same.
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<PipelineStatus> StatusFromJson(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    if (!json.is_object() || !json.contains("pipeline")) {
      return absl::InvalidArgumentError("not the status of a pipeline");
    }
    return ReadPipeline(json);
  } catch (const Json::exception& error) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument, "not the status of a pipeline: {}",
                            error.what());
  }
}

}  // namespace pgflow::engine
