// A status with something in every field, for the tests of this folder.
#pragma once

#include "engine/api/pipeline_status.h"

namespace pgflow::engine {

inline PipelineStatus SampleStatus() {
  PipelineStatus status;
  status.pipeline = "shop";
  status.phase = Phase::kStreaming;
  status.started = absl::FromUnixSeconds(1'700'000'000);
  status.source = "localhost:5432/shop as postgres";
  status.slot = "pgflow_shop";
  status.slot_wal_status = "reserved";
  status.ddl = "all commands";
  status.retained_wal_bytes = 12'900'000;
  status.server_lsn = postgres::Lsn(0x16'0000'0100);
  status.received_lsn = postgres::Lsn(0x16'0000'00F0);
  status.acknowledged_lsn = postgres::Lsn(0x16'0000'0080);
  status.events = 1'234'567;
  status.transactions = 12'345;
  status.bytes = 98'765'432;
  status.open_transactions = 2;
  status.source_reconnects = 1;
  status.memory_bytes = 4096;
  status.spool_bytes = 8192;
  status.spool_bytes_written = 16'384;
  SinkStatus& sink = status.sinks.emplace_back();
  sink.name = "target";
  sink.type = "postgres";
  sink.phase = Phase::kStreaming;
  sink.written_lsn = postgres::Lsn(0x16'0000'00E0);
  sink.durable_lsn = postgres::Lsn(0x16'0000'0080);
  sink.durable_commit_time = absl::FromUnixMicros(1'700'000'100'000'001);
  sink.lag_bytes = 128;
  sink.lag = absl::Milliseconds(3);
  sink.events = 1'234'000;
  sink.bytes = 90'000'000;
  sink.transactions = 12'300;
  sink.windows = 10;
  sink.queue_bytes = 2048;
  sink.retries = 4;
  sink.rejections = 5;
  sink.skipped = 6;
  sink.write_time = absl::Milliseconds(50);
  sink.write_latency_counts.assign(std::size(kWriteLatencyBounds) + 1, 0);
  sink.write_latency_counts[3] = 9;
  sink.write_latency_counts.back() = 1;
  sink.last_error = "connection lost";
  TableStatus table;
  table.table = {"public", "orders"};
  table.bytes_total = 1'000'000;
  table.rows_estimate = 1000;
  table.rows_done = 500;
  table.bytes_done = 400'000;
  table.ranges_total = 4;
  table.ranges_done = 1;
  sink.tables.push_back(table);
  table.table = {"public", "users"};
  table.rows_done = 1000;
  table.ranges_done = 4;
  table.complete = true;
  sink.tables.push_back(table);
  return status;
}

}  // namespace pgflow::engine
