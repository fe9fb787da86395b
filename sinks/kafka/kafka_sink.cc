#include "sinks/kafka/kafka_sink.h"

#include <charconv>
#include <utility>

#include <absl/time/clock.h>

#include "base/check.h"
#include "base/status.h"
#include "sinks/kafka/preflight.h"

namespace pgflow::sinks {
namespace {

using engine::StreamPoint;

// A larger window is a sign of a busy stream: the next ones may share its Kafka transaction, ...
constexpr uint64_t kBusyWindowBytes = 256 * base::kKiB;
// ... up to this age or size, and no longer than this without another window.
constexpr absl::Duration kTransactionAge = absl::Milliseconds(200);
constexpr uint64_t kTransactionBytes = 64 * base::kMiB;
constexpr absl::Duration kQuiet = absl::Milliseconds(10);
// Without transactions: how long the frontier may stay behind on a stream that never pauses.
constexpr absl::Duration kFlushInterval = absl::Milliseconds(500);

// librdkafka's own default.
constexpr uint64_t kBatchBytes = 1'000'000;

uint64_t BatchBytesOf(const kafka::Settings& settings) {
  const auto found = settings.find("batch.size");
  uint64_t bytes = kBatchBytes;
  if (found != settings.end()) {
    const std::string& text = found->second;
    std::from_chars(text.data(), text.data() + text.size(), bytes);
  }
  return bytes;
}

}  // namespace

KafkaSink::KafkaSink(KafkaSinkConfig config, kafka::Settings settings)
    : config_(std::move(config)),
      settings_(std::move(settings)),
      batch_bytes_max_(BatchBytesOf(settings_)) {}

KafkaSink::~KafkaSink() = default;

absl::StatusOr<std::unique_ptr<engine::Sink>> KafkaSink::Make(KafkaSinkConfig config) {
  PGFLOW_RETURN_IF_ERROR(ValidateKafkaSinkConfig(config));
  PGFLOW_ASSIGN_OR_RETURN(kafka::Settings settings, KafkaSettings(config));
  return std::unique_ptr<engine::Sink>(new KafkaSink(std::move(config), std::move(settings)));
}

absl::StatusOr<std::unique_ptr<KafkaSession>> KafkaSink::MakeSession(
    const engine::SinkContext& context) {
  auto session = std::make_unique<KafkaSession>();
  session->settings = settings_;
  session->settings.try_emplace("client.id",
                                fmt::format("pgflow-{}-{}", context.pipeline, context.sink));
  session->context = context;
  session->batch_bytes_max = batch_bytes_max_;
  PGFLOW_ASSIGN_OR_RETURN(session->topics, TopicBook::Make(config_, session->settings, context));
  if (config_.schema_registry.has_value()) {
    PGFLOW_ASSIGN_OR_RETURN(session->registry, SchemaRegistry::Make(*config_.schema_registry));
  }
  if (transactional()) {
    PGFLOW_ASSIGN_OR_RETURN(const std::string topic, session->topics->CheckpointTopic());
    session->store = std::make_unique<KafkaCheckpointStore>(
        KafkaCheckpointStore::Options{.settings = session->settings,
                                      .patience = config_.timeout,
                                      .topic = topic,
                                      .pipeline = context.pipeline,
                                      .sink = context.sink});
  }
  return session;
}

absl::Status KafkaSink::Open(const engine::SinkContext& context, std::stop_token stop) {
  if (session_ != nullptr) batch_bytes_max_ = session_->batch_bytes_max;
  writer_.reset();
  producer_.reset();
  in_transaction_ = inside_ = false;
  waiting_.reset();
  PGFLOW_ASSIGN_OR_RETURN(session_, MakeSession(context));
  kafka::Producer::Options options{.settings = session_->ProducerSettings(),
                                   .transactional_id = "",
                                   .patience = config_.timeout};
  if (transactional()) {
    PGFLOW_RETURN_IF_ERROR(
        session_->store->Look(*session_->topics, claim_, context.confirm_slot, stop));
    // First the stream's producer, so that what the store reads afterwards is final.
    options.transactional_id = session_->store->TransactionalId();
    PGFLOW_ASSIGN_OR_RETURN(producer_, kafka::Producer::MakeTransactional(options, stop));
    PGFLOW_RETURN_IF_ERROR(session_->store->Open(claim_, context.confirm_slot, stop));
    PGFLOW_ASSIGN_OR_RETURN(const auto checkpoint, session_->store->Load());
    durable_ = checkpoint.has_value() ? checkpoint->stream : StreamPoint();
  } else {
    PGFLOW_ASSIGN_OR_RETURN(producer_, kafka::Producer::Make(options));
    // That there is a broker shows here and not at the first change.
    PGFLOW_RETURN_IF_ERROR(session_->topics->Count("pgflow", stop).status());
  }
  PGFLOW_ASSIGN_OR_RETURN(writer_,
                          MessageWriter::Make(config_, context, *session_->topics, *producer_,
                                              session_->batch_bytes_max, session_->registry.get()));
  return absl::OkStatus();
}

bool KafkaSink::marks_snapshot_ends() const {
  const EncodingConfig& encoding = config_.encoding;
  return encoding.format == Encoding::kDebezium ||
         (encoding.format == Encoding::kAvro && encoding.avro.envelope == AvroEnvelope::kDebezium);
}

engine::CheckpointStore* KafkaSink::checkpoint_store() {
  return session_ == nullptr ? nullptr : session_->store.get();
}

absl::StatusOr<std::optional<engine::SinkCheckpoint>> KafkaSink::PeekCheckpoint(
    const engine::SinkContext& context, std::stop_token stop) {
  if (!transactional()) return std::optional<engine::SinkCheckpoint>();
  PGFLOW_ASSIGN_OR_RETURN(const std::unique_ptr<KafkaSession> session, MakeSession(context));
  return session->store->Peek(*session->topics, std::move(stop));
}

absl::StatusOr<std::vector<engine::Finding>> KafkaSink::Check(
    const schemas::DatabaseDefinition& /*definition*/, std::span<const engine::TablePlan> tables,
    std::stop_token stop) {
  return CheckKafka(config_, settings_, tables, std::move(stop));
}

absl::Status KafkaSink::PrepareSnapshot(const schemas::DatabaseDefinition& /*definition*/,
                                        std::span<const engine::TablePlan> tables,
                                        std::span<const engine::TablePlan> resumed,
                                        std::stop_token stop) {
  if (!config_.topic_by_column.empty()) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(const schemas::TableFilter filter,
                          schemas::TableFilter::Make(config_.tables, {}));
  for (const auto plans : {tables, resumed}) {
    for (const engine::TablePlan& plan : plans) {
      if (!filter.Matches(plan.schema->table)) continue;
      if (plan.schema->rows != schemas::RowKind::kTable) continue;
      PGFLOW_RETURN_IF_ERROR(session_->topics->Resolve(plan.schema->table, "", stop).status());
    }
  }
  return absl::OkStatus();
}

// A log takes nothing back. What it can say is that all rows before are void, in the words that a
// reader has to understand anyway.
absl::Status KafkaSink::ResetTable(const engine::TablePlan& table, std::stop_token stop) {
  const bool one_topic =
      config_.topic_by_column.empty() && table.schema->rows == schemas::RowKind::kTable;
  if (!one_topic) return absl::OkStatus();
  engine::ChangeEvent event;
  event.operation = engine::Operation::kTruncate;
  event.schema = table.schema.get();
  engine::TransactionSpan span;
  span.begins = span.ends = true;
  span.commit_time = absl::Now();  // The stream has no place for it; this tells it from others.
  engine::Batch batch(nullptr, {event}, {span});
  batch.KeepAlive(table.schema);
  engine::Window window;
  window.batches = {&batch, 1};
  PGFLOW_RETURN_IF_ERROR(Append(window, stop));
  if (!transactional()) return producer_->Flush(std::move(stop));
  if (waiting_.has_value()) return Commit(std::move(stop));
  // Without a word of the stream: where it began is known to the store, not here.
  PGFLOW_RETURN_IF_ERROR(producer_->Commit(std::move(stop)));
  in_transaction_ = false;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<engine::SnapshotLane>> KafkaSink::OpenLane(std::stop_token stop) {
  return KafkaLane::Open(config_, *session_, std::move(stop));
}

absl::Status KafkaSink::Append(const engine::Window& window, std::stop_token stop) {
  if (transactional() && !in_transaction_) {
    PGFLOW_RETURN_IF_ERROR(producer_->Begin());
    in_transaction_ = true;
    transaction_start_ = absl::Now();
    transaction_start_bytes_ = writer_->bytes();
    writer_->Forget();
  }
  for (engine::Batch& batch : window.batches) {
    PGFLOW_RETURN_IF_ERROR(writer_->Append(batch, nullptr, stop));
  }
  return producer_->Poll();
}

absl::StatusOr<engine::WriteResult> KafkaSink::Write(const engine::Window& window,
                                                     std::stop_token stop) {
  PGFLOW_CHECK(writer_ != nullptr, "Write follows an Open that succeeded");
  const uint64_t before = writer_->bytes();
  absl::Status status;
  // What is complete does not wait for the end of a large transaction.
  if (!window.ends_at_commit && !inside_ && waiting_.has_value()) status = Commit(stop);
  if (status.ok()) status = Append(window, stop);
  if (status.ok()) status = EndWindow(window, writer_->bytes() - before, stop);
  if (!status.ok()) return session_->Explain(status, *writer_, stop);
  last_write_ = absl::Now();
  return engine::WriteResult();
}

absl::Status KafkaSink::EndWindow(const engine::Window& window, uint64_t bytes,
                                  std::stop_token stop) {
  inside_ = !window.ends_at_commit;
  if (inside_) return absl::OkStatus();
  if (!waiting_.has_value()) waiting_since_ = absl::Now();
  waiting_ = window.end;
  if (!transactional()) return absl::OkStatus();
  const bool busy = bytes >= kBusyWindowBytes &&
                    absl::Now() - transaction_start_ < kTransactionAge &&
                    writer_->bytes() - transaction_start_bytes_ < kTransactionBytes;
  return busy ? absl::OkStatus() : Commit(std::move(stop));
}

absl::Status KafkaSink::Commit(std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(SendRecord(*producer_, session_->store->topic(),
                                    session_->store->keys().Stream(*waiting_), stop));
  PGFLOW_RETURN_IF_ERROR(producer_->Commit(std::move(stop)));
  in_transaction_ = false;
  durable_ = *waiting_;
  waiting_.reset();
  return absl::OkStatus();
}

absl::StatusOr<StreamPoint> KafkaSink::Durable(std::stop_token stop) {
  absl::Status status;
  if (!transactional()) {
    status = producer_->Poll();
    // What was delivered shows when nothing is pending, which on a busy stream would never be.
    if (status.ok() && waiting_.has_value() && producer_->pending() > 0 &&
        absl::Now() - waiting_since_ > kFlushInterval) {
      status = producer_->Flush(stop);
    }
    if (status.ok() && waiting_.has_value() && producer_->pending() == 0) {
      durable_ = *waiting_;
      waiting_.reset();
      if (!inside_) writer_->Forget();
    }
  } else if (waiting_.has_value() && !inside_ && absl::Now() - last_write_ >= kQuiet) {
    status = Commit(stop);
  }
  if (!status.ok()) return session_->Explain(status, *writer_, stop);
  return durable_;
}

absl::Status KafkaSink::Close(std::stop_token stop) {
  if (producer_ == nullptr || inside_) return absl::OkStatus();
  absl::Status status;
  if (!transactional()) {
    status = producer_->Flush(stop);
  } else if (waiting_.has_value()) {
    status = Commit(stop);
  }
  return status.ok() ? status : session_->Explain(status, *writer_, stop);
}

engine::ComponentType<engine::Sink> KafkaSinkType() {
  return engine::MakeComponentType<engine::Sink, KafkaSinkConfig>(
      "kafka", "Writes each change as a message to the topic of its table, in Apache Kafka.",
      "exactly once (transactional: true), else at least once without duplicates in one life",
      &KafkaSinkSpec, &KafkaSink::Make);
}

}  // namespace pgflow::sinks
