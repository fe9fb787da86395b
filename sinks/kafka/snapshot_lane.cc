#include "sinks/kafka/snapshot_lane.h"

#include <utility>

#include "base/status.h"

namespace pgflow::sinks {
kafka::Settings KafkaSession::ProducerSettings() const {
  kafka::Settings with_batches = settings;
  const std::string bytes = std::to_string(batch_bytes_max.load());
  with_batches["batch.size"] = bytes;
  return with_batches;
}

absl::Status KafkaSession::Explain(const absl::Status& status, MessageWriter& writer,
                                   std::stop_token stop) {
  if (status.ok() || status.code() == absl::StatusCode::kCancelled) return status;
  absl::Status explained = writer.ExplainRefusal(status, stop);
  if (writer.batch_bytes_max() < batch_bytes_max.load()) {
    batch_bytes_max.store(writer.batch_bytes_max());
  }
  if (store != nullptr) explained = store->Explain(explained, stop);
  return explained;
}

KafkaLane::KafkaLane(KafkaSession& session, std::unique_ptr<kafka::Producer> producer,
                     std::unique_ptr<MessageWriter> writer)
    : session_(session), producer_(std::move(producer)), writer_(std::move(writer)) {}

absl::StatusOr<std::unique_ptr<engine::SnapshotLane>> KafkaLane::Open(const KafkaSinkConfig& config,
                                                                      KafkaSession& session,
                                                                      std::stop_token stop) {
  std::unique_ptr<kafka::Producer> producer;
  if (session.store != nullptr) {
    PGFLOW_ASSIGN_OR_RETURN(producer, session.store->OpenLane(session.ProducerSettings(), stop));
  } else {
    PGFLOW_ASSIGN_OR_RETURN(producer, kafka::Producer::Make({.settings = session.ProducerSettings(),
                                                             .transactional_id = "",
                                                             .patience = config.timeout}));
  }
  PGFLOW_ASSIGN_OR_RETURN(
      std::unique_ptr<MessageWriter> writer,
      MessageWriter::Make(config, session.context, *session.topics, *producer,
                          session.batch_bytes_max.load(), session.registry.get()));
  return std::unique_ptr<engine::SnapshotLane>(
      new KafkaLane(session, std::move(producer), std::move(writer)));
}

absl::Status KafkaLane::BeginRange(const engine::TablePlan& table, engine::BlockRange range,
                                   RangeOptions options) {
  table_ = table.source_table;
  range_ = range;
  options_ = options;
  std::string_view first;
  if (options.first_of_table) first = options.first ? "first" : "first_in_data_collection";
  std::string_view last;
  if (options.last_of_table) last = options.last ? "last" : "last_in_data_collection";
  writer_->BeginRange(first, last);
  if (session_.store == nullptr) return absl::OkStatus();
  return session_.Explain(producer_->Begin(), *writer_, {});
}

absl::StatusOr<engine::WriteResult> KafkaLane::Write(engine::Batch& batch, std::stop_token stop) {
  engine::WriteResult result;
  if (options_.upsert) {
    PGFLOW_ASSIGN_OR_RETURN(std::vector<engine::ChangeEvent>* const events, batch.MutableEvents());
    for (engine::ChangeEvent& event : *events) event.catch_up = true;
  }
  const bool careful = options_.mode == Mode::kCareful;
  const absl::Status status = writer_->Append(batch, careful ? &result.rejections : nullptr, stop);
  if (!status.ok()) return session_.Explain(status, *writer_, stop);
  return result;
}

absl::Status KafkaLane::FinishRange(std::stop_token stop) {
  const absl::Status kept = writer_->FinishRange(stop);
  if (!kept.ok()) return session_.Explain(kept, *writer_, stop);
  if (session_.store == nullptr) {
    return session_.Explain(producer_->Flush(stop), *writer_, stop);
  }
  absl::Status status;
  if (options_.record) {
    status = SendRecord(*producer_, session_.store->topic(),
                        session_.store->keys().Range(table_, range_), stop);
  }
  if (status.ok()) status = producer_->Commit(stop);
  return session_.Explain(status, *writer_, stop);
}

absl::Status KafkaLane::FinishTable(const engine::TablePlan&, std::stop_token) {
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
