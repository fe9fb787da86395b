#include "engine/observe/metrics.h"

#include <array>
#include <iterator>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace pgflow::engine {
namespace {

using Label = prometheus::ClientMetric::Label;
using Labels = std::vector<Label>;

constexpr std::array kPhases = {Phase::kStarting, Phase::kStandby,   Phase::kSnapshot,
                                Phase::kCatchUp,  Phase::kStreaming, Phase::kStopping,
                                Phase::kFailed};
// pg_replication_slots.wal_status.
constexpr std::array<std::string_view, 4> kWalStatuses = {"reserved", "extended", "unreserved",
                                                          "lost"};

Label MakeLabel(std::string name, std::string_view value) {
  Label label;
  label.name = std::move(name);
  label.value = std::string(value);
  return label;
}

// The snapshot of one sink, all tables together.
struct SnapshotSums {
  double tables = 0;
  double tables_complete = 0;
  double rows = 0;
  double bytes = 0;
  double ranges = 0;
  double ranges_complete = 0;
};

SnapshotSums SumsOf(const SinkStatus& sink) {
  SnapshotSums sums;
  for (const TableStatus& table : sink.tables) {
    sums.tables += 1;
    sums.tables_complete += table.complete ? 1 : 0;
    sums.rows += static_cast<double>(table.rows_done);
    sums.bytes += static_cast<double>(table.bytes_done);
    sums.ranges += table.ranges_total;
    sums.ranges_complete += table.ranges_done;
  }
  return sums;
}

// The families of one status. A short-lived view: "status" must outlive it.
class StatusCollectable final : public prometheus::Collectable {
 public:
  explicit StatusCollectable(const PipelineStatus& status) : status_(status) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> families;
    AddPipeline(families);
    AddSlot(families);
    AddSinks(families);
    AddSnapshots(families);
    return families;
  }

 private:
  using Families = std::vector<prometheus::MetricFamily>;
  using SinkValue = double (*)(const SinkStatus& sink);

  Labels PipelineLabels() const { return {MakeLabel("pipeline", status_.pipeline)}; }

  static void SetValue(prometheus::MetricType type, double value,
                       prometheus::ClientMetric& metric) {
    if (type == prometheus::MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
  }

  static prometheus::MetricFamily& Add(Families& families, std::string name, std::string help,
                                       prometheus::MetricType type) {
    prometheus::MetricFamily& family = families.emplace_back();
    family.name = std::move(name);
    family.help = std::move(help);
    family.type = type;
    return family;
  }

  void AddValue(Families& families, std::string name, std::string help, prometheus::MetricType type,
                double value) const {
    auto& family = Add(families, std::move(name), std::move(help), type);
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    metric.label = PipelineLabels();
    SetValue(type, value, metric);
  }
  void Counter(Families& families, std::string name, std::string help, uint64_t value) const {
    AddValue(families, std::move(name), std::move(help), prometheus::MetricType::Counter,
             static_cast<double>(value));
  }
  void Gauge(Families& families, std::string name, std::string help, uint64_t value) const {
    AddValue(families, std::move(name), std::move(help), prometheus::MetricType::Gauge,
             static_cast<double>(value));
  }

  void PerSink(Families& families, std::string name, std::string help, prometheus::MetricType type,
               SinkValue value) const {
    auto& family = Add(families, std::move(name), std::move(help), type);
    for (const SinkStatus& sink : status_.sinks) {
      prometheus::ClientMetric& metric = family.metric.emplace_back();
      metric.label = PipelineLabels();
      metric.label.push_back(MakeLabel("sink", sink.name));
      metric.label.push_back(MakeLabel("type", sink.type));
      SetValue(type, value(sink), metric);
    }
  }

  void AddPhase(prometheus::MetricFamily& family, const Labels& labels, Phase phase) const {
    for (const Phase each : kPhases) {
      prometheus::ClientMetric& metric = family.metric.emplace_back();
      metric.label = labels;
      metric.label.push_back(MakeLabel("phase", PhaseName(each)));
      metric.gauge.value = each == phase ? 1 : 0;
    }
  }

  void AddPipeline(Families& families) const {
    AddPhase(Add(families, "pgflow_phase", "1 for the phase that the pipeline is in.",
                 prometheus::MetricType::Gauge),
             PipelineLabels(), status_.phase);
    AddValue(families, "pgflow_start_time_seconds", "When the pipeline started.",
             prometheus::MetricType::Gauge,
             static_cast<double>(absl::ToUnixMillis(status_.started)) / 1e3);
    Counter(families, "pgflow_source_events_total", "Changes received.", status_.events);
    Counter(families, "pgflow_source_transactions_total", "Transactions received.",
            status_.transactions);
    Counter(families, "pgflow_source_bytes_total", "Bytes received.", status_.bytes);
    Counter(families, "pgflow_source_reconnects_total", "Lost connections to the source.",
            status_.source_reconnects);
    Gauge(families, "pgflow_source_open_transactions",
          "Streamed transactions that have not committed yet.", status_.open_transactions);
    Gauge(families, "pgflow_memory_bytes", "Received changes held in memory.",
          status_.memory_bytes);
    Gauge(families, "pgflow_spool_bytes", "Received changes held on disk.", status_.spool_bytes);
    Counter(families, "pgflow_spool_written_bytes_total", "Bytes written to the spool.",
            status_.spool_bytes_written);
  }

  void AddSlot(Families& families) const {
    Gauge(families, "pgflow_stalled", "1 while something stands still; /status says what.",
          status_.stalled.empty() ? 0 : 1);
    Gauge(families, "pgflow_slot_retained_wal_bytes", "WAL that the slot keeps on the source.",
          status_.retained_wal_bytes);
    Gauge(families, "pgflow_source_server_lsn_bytes", "End of WAL of the source.",
          status_.server_lsn.value());
    Gauge(families, "pgflow_source_received_lsn_bytes", "How far the stream was received.",
          status_.received_lsn.value());
    Gauge(families, "pgflow_source_acknowledged_lsn_bytes", "What the slot was told is durable.",
          status_.acknowledged_lsn.value());
    auto& family = Add(families, "pgflow_slot_wal_status",
                       "1 for the slot's wal_status; all 0 while it is not known.",
                       prometheus::MetricType::Gauge);
    for (const std::string_view each : kWalStatuses) {
      prometheus::ClientMetric& metric = family.metric.emplace_back();
      metric.label = PipelineLabels();
      metric.label.push_back(MakeLabel("wal_status", each));
      metric.gauge.value = each == status_.slot_wal_status ? 1 : 0;
    }
  }

  void AddSinks(Families& families) const {
    using prometheus::MetricType;
    auto& phases = Add(families, "pgflow_sink_phase", "1 for the phase that the sink is in.",
                       MetricType::Gauge);
    for (const SinkStatus& sink : status_.sinks) {
      Labels labels = PipelineLabels();
      labels.push_back(MakeLabel("sink", sink.name));
      AddPhase(phases, labels, sink.phase);
    }
    PerSink(families, "pgflow_sink_events_total", "Changes written.", MetricType::Counter,
            [](const SinkStatus& sink) { return static_cast<double>(sink.events); });
    PerSink(families, "pgflow_sink_bytes_total", "Bytes written.", MetricType::Counter,
            [](const SinkStatus& sink) { return static_cast<double>(sink.bytes); });
    PerSink(families, "pgflow_sink_transactions_total", "Transactions written.",
            MetricType::Counter,
            [](const SinkStatus& sink) { return static_cast<double>(sink.transactions); });
    PerSink(families, "pgflow_sink_retries_total", "Errors after which it was tried again.",
            MetricType::Counter,
            [](const SinkStatus& sink) { return static_cast<double>(sink.retries); });
    PerSink(families, "pgflow_sink_rejections_total", "Rows that the sink could not take.",
            MetricType::Counter,
            [](const SinkStatus& sink) { return static_cast<double>(sink.rejections); });
    PerSink(families, "pgflow_sink_skipped_total",
            "Changes that the sink's options let it pass over.", MetricType::Counter,
            [](const SinkStatus& sink) { return static_cast<double>(sink.skipped); });
    PerSink(families,
            status_.counts_messages ? "pgflow_sink_lag_messages" : "pgflow_sink_lag_bytes",
            status_.counts_messages ? "Messages between the sink's frontier and the log's end."
                                    : "WAL between the sink's frontier and the source.",
            MetricType::Gauge,
            [](const SinkStatus& sink) { return static_cast<double>(sink.lag_bytes); });
    PerSink(families, "pgflow_sink_lag_seconds",
            "Age of the oldest transaction that is not durable in the sink.", MetricType::Gauge,
            [](const SinkStatus& sink) { return absl::ToDoubleSeconds(sink.lag); });
    PerSink(families, "pgflow_sink_queue_bytes", "Received, and not yet durable in the sink.",
            MetricType::Gauge,
            [](const SinkStatus& sink) { return static_cast<double>(sink.queue_bytes); });
    PerSink(families, "pgflow_sink_durable_lsn_bytes", "The sink's frontier.", MetricType::Gauge,
            [](const SinkStatus& sink) { return static_cast<double>(sink.durable_lsn.value()); });
    AddLatencies(families);
    AddEndpoints(families);
  }

  static double SumOf(const SinkStatus& sink, uint64_t EndpointStatus::*field) {
    uint64_t sum = 0;
    for (const EndpointStatus& endpoint : sink.endpoints) sum += endpoint.*field;
    return static_cast<double>(sum);
  }

  // By state rather than by endpoint: there may be thousands.
  void AddEndpoints(Families& families) const {
    using prometheus::MetricType;
    std::map<std::pair<std::string, std::string>, size_t> states;
    for (const SinkStatus& sink : status_.sinks) {
      for (const EndpointStatus& endpoint : sink.endpoints) ++states[{sink.name, endpoint.state}];
    }
    if (states.empty()) return;
    auto& family = Add(families, "pgflow_sink_endpoints", "Endpoints of the sink, by their state.",
                       MetricType::Gauge);
    for (const auto& [name, count] : states) {
      prometheus::ClientMetric& metric = family.metric.emplace_back();
      metric.label = PipelineLabels();
      metric.label.push_back(MakeLabel("sink", name.first));
      metric.label.push_back(MakeLabel("state", name.second));
      metric.gauge.value = static_cast<double>(count);
    }
    PerSink(families, "pgflow_sink_endpoint_waiting_events", "Events that endpoints wait for.",
            MetricType::Gauge,
            [](const SinkStatus& sink) { return SumOf(sink, &EndpointStatus::waiting); });
    PerSink(families, "pgflow_sink_endpoint_waiting_bytes", "Their size.", MetricType::Gauge,
            [](const SinkStatus& sink) { return SumOf(sink, &EndpointStatus::waiting_bytes); });
    PerSink(families, "pgflow_sink_endpoint_delivered_total", "Events that endpoints have taken.",
            MetricType::Counter,
            [](const SinkStatus& sink) { return SumOf(sink, &EndpointStatus::delivered); });
    PerSink(families, "pgflow_sink_endpoint_dropped_total",
            "Events that endpoints refused and that were dropped, as configured.",
            MetricType::Counter,
            [](const SinkStatus& sink) { return SumOf(sink, &EndpointStatus::dropped); });
  }

  void AddLatencies(Families& families) const {
    auto& family = Add(families, "pgflow_sink_write_seconds", "Time to write one window.",
                       prometheus::MetricType::Histogram);
    constexpr size_t kBounds = std::size(kWriteLatencyBounds);
    for (const SinkStatus& sink : status_.sinks) {
      prometheus::ClientMetric& metric = family.metric.emplace_back();
      metric.label = PipelineLabels();
      metric.label.push_back(MakeLabel("sink", sink.name));
      metric.label.push_back(MakeLabel("type", sink.type));
      uint64_t cumulative = 0;
      for (size_t i = 0; i <= kBounds; ++i) {
        if (i < sink.write_latency_counts.size()) cumulative += sink.write_latency_counts[i];
        auto& bucket = metric.histogram.bucket.emplace_back();
        bucket.cumulative_count = cumulative;
        bucket.upper_bound =
            i < kBounds ? kWriteLatencyBounds[i] : std::numeric_limits<double>::infinity();
      }
      metric.histogram.sample_count = cumulative;
      metric.histogram.sample_sum = absl::ToDoubleSeconds(sink.write_time);
    }
  }

  void AddSnapshots(Families& families) const {
    using prometheus::MetricType;
    PerSink(families, "pgflow_snapshot_tables", "Tables of the snapshot.", MetricType::Gauge,
            [](const SinkStatus& sink) { return SumsOf(sink).tables; });
    PerSink(families, "pgflow_snapshot_tables_complete", "Tables that are copied.",
            MetricType::Gauge, [](const SinkStatus& sink) { return SumsOf(sink).tables_complete; });
    PerSink(families, "pgflow_snapshot_ranges", "Ranges of all tables.", MetricType::Gauge,
            [](const SinkStatus& sink) { return SumsOf(sink).ranges; });
    PerSink(families, "pgflow_snapshot_ranges_complete", "Ranges that are copied.",
            MetricType::Gauge, [](const SinkStatus& sink) { return SumsOf(sink).ranges_complete; });
    PerSink(families, "pgflow_snapshot_rows", "Rows copied.", MetricType::Gauge,
            [](const SinkStatus& sink) { return SumsOf(sink).rows; });
    PerSink(families, "pgflow_snapshot_bytes", "Bytes copied.", MetricType::Gauge,
            [](const SinkStatus& sink) { return SumsOf(sink).bytes; });
  }

  const PipelineStatus& status_;
};

}  // namespace

std::string MetricsText(const PipelineStatus& status) {
  return prometheus::TextSerializer().Serialize(StatusCollectable(status).Collect());
}

}  // namespace pgflow::engine
