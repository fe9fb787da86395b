#include "sinks/kafka/message_writer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/status.h"
#include "sinks/encoding/json_value.h"
#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {
namespace {

using engine::ChangeEvent;
using engine::Operation;

// What a batch of one message has besides its key and value, at most: headers and framing.
constexpr uint64_t kOverheadBytes = 300;
// A tag has the transaction in its upper bits and the change's number within it in the lower ones.
constexpr int kOrdinalBits = 40;
constexpr uint64_t kOrdinalMask = (uint64_t{1} << kOrdinalBits) - 1;

bool IsSnapshotOf(const ChangeEvent& event) { return event.operation == Operation::kRead; }

}  // namespace

MessageWriter::MessageWriter(const KafkaSinkConfig& config, TopicBook& topics,
                             kafka::Producer& producer, schemas::TableFilter filter,
                             std::unique_ptr<RegistryIds> ids,
                             std::unique_ptr<EventEncoder> encoder, uint64_t batch_bytes_max)
    : config_(config),
      topics_(topics),
      producer_(producer),
      filter_(std::move(filter)),
      ids_(std::move(ids)),
      encoder_(std::move(encoder)),
      batch_bytes_max_(batch_bytes_max) {
  headers_.reserve(4);
  if (config_.transaction_metadata) transactions_.emplace();
}

absl::StatusOr<std::unique_ptr<MessageWriter>> MessageWriter::Make(
    const KafkaSinkConfig& config, const engine::SinkContext& context, TopicBook& topics,
    kafka::Producer& producer, uint64_t batch_bytes_max, SchemaRegistry* registry) {
  PGFLOW_ASSIGN_OR_RETURN(schemas::TableFilter filter,
                          schemas::TableFilter::Make(config.tables, {}));
  std::unique_ptr<RegistryIds> ids;
  if (registry != nullptr) ids = std::make_unique<RegistryIds>(*registry);
  PGFLOW_ASSIGN_OR_RETURN(
      std::unique_ptr<EventEncoder> encoder,
      EventEncoder::Make(
          config.encoding,
          {.pipeline = context.pipeline,
           .database = context.database,
           .placement = config.tombstones ? Placement::kByKeyWithTombstones : Placement::kByKey,
           .schema_ids = ids.get(),
           .has_headers = true}));
  return std::unique_ptr<MessageWriter>(new MessageWriter(config, topics, producer,
                                                          std::move(filter), std::move(ids),
                                                          std::move(encoder), batch_bytes_max));
}

absl::Status MessageWriter::Append(engine::Batch& batch, std::vector<engine::Rejection>* rejections,
                                   std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::span<const ChangeEvent> events, batch.Events());
  if (ids_ != nullptr) ids_->SetStop(stop);
  encoder_->StartBatch();
  last_schema_ = nullptr;
  next_span_ = 0;
  snapshot_ = batch.is_snapshot();
  if (kept_.has_value()) PGFLOW_RETURN_IF_ERROR(SendKept(false, stop));
  if (snapshot_) encoder_->SetSnapshotMark(first_mark_.empty() ? "true" : first_mark_);
  for (size_t row = 0; row < events.size(); ++row) {
    const ChangeEvent& event = events[row];
    if (transactions_.has_value() && !snapshot_) {
      PGFLOW_RETURN_IF_ERROR(EndTransactions(batch, event.transaction, stop));
    }
    const uint64_t tag = TagOf(batch, event, row);
    const bool keep = snapshot_ && !last_mark_.empty() && row + 1 == events.size();
    absl::Status status = keep ? Keep(batch, event, tag, rejections != nullptr, stop)
                               : Send(batch, event, tag, rejections != nullptr, stop);
    if (snapshot_ && !first_mark_.empty()) {
      first_mark_ = {};
      encoder_->SetSnapshotMark("true");
    }
    if (status.ok()) continue;
    const bool refused =
        status.code() == absl::StatusCode::kInvalidArgument && !producer_.failure().has_value();
    if (refused && rejections != nullptr) {
      rejections->push_back({batch.PositionOf(event), row, std::move(status)});
      continue;
    }
    if (refused && !snapshot_) {
      base::SetPayload(status, engine::kCulpritPayload, batch.PositionOf(event).ToString());
    }
    return status;
  }
  if (!transactions_.has_value() || snapshot_) return absl::OkStatus();
  return EndTransactions(batch, batch.transactions().size(), stop);
}

absl::Status MessageWriter::FollowTransaction(const engine::Batch& batch, const ChangeEvent& event,
                                              const std::stop_token& stop) {
  encoder_->Follow(nullptr);
  if (!transactions_.has_value() || snapshot_) return absl::OkStatus();
  const engine::TransactionSpan& span = batch.transactions()[event.transaction];
  // A table that is started over has no transaction, nor has a schema change a place in one.
  const bool lone_message =
      event.schema->rows == schemas::RowKind::kLogicalMessages && span.xid == 0;
  const bool counts = span.commit_lsn.value() != 0 && !lone_message &&
                      event.schema->rows != schemas::RowKind::kOutbox &&
                      event.operation != Operation::kSchemaChange;
  if (!counts) return absl::OkStatus();
  if (transactions_->Enter(span, event.ordinal)) {
    PGFLOW_RETURN_IF_ERROR(SendTransaction(transactions_->Begin(), stop));
  }
  encoder_->Follow(&*transactions_);
  return absl::OkStatus();
}

absl::Status MessageWriter::EndTransactions(const engine::Batch& batch, size_t limit,
                                            const std::stop_token& stop) {
  for (; next_span_ < limit; ++next_span_) {
    const engine::TransactionSpan& span = batch.transactions()[next_span_];
    if (!span.ends || !transactions_->IsOpen(span)) continue;
    PGFLOW_RETURN_IF_ERROR(SendTransaction(transactions_->End(), stop));
  }
  return absl::OkStatus();
}

absl::Status MessageWriter::SendTransaction(const TransactionNote& note,
                                            const std::stop_token& stop) {
  if (!transaction_route_.wanted) {
    PGFLOW_ASSIGN_OR_RETURN(const std::string topic, topics_.TransactionTopic());
    PGFLOW_RETURN_IF_ERROR(topics_.Ensure(topics_.LogSpecOf(topic), stop).status());
    PGFLOW_ASSIGN_OR_RETURN(transaction_route_, MakeRoute(topic));
  }
  encoder_->SetTopic(transaction_route_.name);
  PGFLOW_ASSIGN_OR_RETURN(const EncodedMessage encoded, encoder_->EncodeTransaction(note));
  kafka::Message message;
  message.topic = transaction_route_.topic;
  message.partition = 0;
  message.has_key = message.has_value = true;
  message.key = encoded.key;
  message.value = encoded.value;
  bytes_ += message.key.size() + message.value.size();
  return producer_.Send(message, stop);
}

uint64_t MessageWriter::TagOf(const engine::Batch& batch, const ChangeEvent& event, size_t row) {
  if (snapshot_) return row;
  const postgres::Lsn commit = batch.transactions()[event.transaction].commit_lsn;
  if (commits_.empty() || commits_.back() != commit) commits_.push_back(commit);
  return (uint64_t{commits_.size() - 1} << kOrdinalBits) | (event.ordinal & kOrdinalMask);
}

std::string MessageWriter::PlaceOf(uint64_t tag) const {
  const size_t transaction = tag >> kOrdinalBits;
  if (snapshot_ || transaction >= commits_.size()) return "";
  return engine::Position{commits_[transaction], tag & kOrdinalMask}.ToString();
}

void MessageWriter::SetHeaders(const engine::Batch& batch, const ChangeEvent& event) {
  headers_.clear();
  if (!config_.headers) return;
  position_.clear();
  const engine::Position position = batch.PositionOf(event);
  fmt::format_to(std::back_inserter(position_), "{}:{}", position.commit_lsn, position.ordinal);
  headers_.push_back({"pgflow.position", position_});
  if (!batch.is_snapshot()) {
    transaction_.clear();
    fmt::format_to(std::back_inserter(transaction_), "{}",
                   batch.transactions()[event.transaction].xid);
    headers_.push_back({"pgflow.transaction", transaction_});
  }
  headers_.push_back({"pgflow.operation", ""});
}

absl::StatusOr<MessageWriter::Route> MessageWriter::MakeRoute(const std::string& topic) {
  Route route;
  route.wanted = true;
  route.name = topic;
  PGFLOW_ASSIGN_OR_RETURN(route.topic, producer_.TopicIndex(topic));
  return route;
}

absl::StatusOr<std::string> MessageWriter::ColumnValue(const ChangeEvent& event) {
  const std::string& name = config_.topic_by_column;
  const std::optional<size_t> column = event.schema->FindColumn(name);
  const auto refuse = [&](absl::StatusCode code, std::string_view why) {
    return base::MakeStatus(code, "table {}: topic_by_column {}: {}",
                            event.schema->table.ToString(), name, why);
  };
  if (!column.has_value()) {
    return refuse(absl::StatusCode::kFailedPrecondition,
                  "there is no such column; leave the table out with `tables`");
  }
  const bool by_key = !event.after.exists() && event.before_image == engine::BeforeImage::kKey;
  if (by_key && !event.schema->columns[*column].identity) {
    return refuse(absl::StatusCode::kFailedPrecondition,
                  "a DELETE does not tell its value: set REPLICA IDENTITY FULL");
  }
  const schemas::RowView& row = event.after.exists() ? event.after : event.before;
  row.Decode(values_);
  if (*column >= values_.size()) return refuse(absl::StatusCode::kDataLoss, "the row is short");
  std::string text;
  if (!AppendValueText(values_[*column], FindTypeText(event.schema->columns[*column]), text)) {
    return refuse(absl::StatusCode::kInvalidArgument, "the value cannot be read");
  }
  if (text.empty()) return refuse(absl::StatusCode::kInvalidArgument, "the row has no value there");
  return text;
}

absl::StatusOr<std::string> MessageWriter::TopicOf(const schemas::TableSchema& schema,
                                                   const std::stop_token& stop) {
  std::string topic;
  switch (schema.rows) {
    case schemas::RowKind::kTable:
      return topics_.Resolve(schema.table, "", stop);
    case schemas::RowKind::kLogicalMessages: {
      PGFLOW_ASSIGN_OR_RETURN(topic, topics_.MessageTopic());
      break;
    }
    case schemas::RowKind::kOutbox: {
      PGFLOW_ASSIGN_OR_RETURN(topic, TopicName::Adjust(schema.table.name));
      break;
    }
  }
  PGFLOW_RETURN_IF_ERROR(topics_.Ensure(topics_.SpecOf(topic), stop).status());
  return topic;
}

absl::StatusOr<MessageWriter::Route*> MessageWriter::RouteOf(const ChangeEvent& event,
                                                             const std::stop_token& stop) {
  if (event.operation == Operation::kSchemaChange) {
    Route& route = by_topic_[""];
    if (config_.ddl_topic.empty() || route.wanted) return &route;
    PGFLOW_ASSIGN_OR_RETURN(const std::string topic, topics_.DdlTopic());
    PGFLOW_RETURN_IF_ERROR(topics_.Ensure(topics_.LogSpecOf(topic), stop).status());
    PGFLOW_ASSIGN_OR_RETURN(route, MakeRoute(topic));
    return &route;
  }
  if (event.schema == last_schema_) return last_route_;
  const auto [found, added] = tables_.try_emplace(event.schema->table);
  Route& route = found->second;
  if (!filter_.Matches(found->first)) return &route;
  if (!config_.topic_by_column.empty() && event.schema->rows == schemas::RowKind::kTable) {
    if (event.operation == Operation::kTruncate) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "table {}: a TRUNCATE has no row whose {} would name a topic",
                              found->first.ToString(), config_.topic_by_column);
    }
    PGFLOW_ASSIGN_OR_RETURN(const std::string value, ColumnValue(event));
    PGFLOW_ASSIGN_OR_RETURN(const std::string topic, topics_.NameOf(found->first, value));
    Route& by_value = by_topic_[topic];
    if (by_value.wanted) return &by_value;
    PGFLOW_RETURN_IF_ERROR(topics_.Resolve(found->first, value, stop).status());
    PGFLOW_ASSIGN_OR_RETURN(by_value, MakeRoute(topic));
    return &by_value;
  }
  if (!route.wanted) {
    PGFLOW_ASSIGN_OR_RETURN(const std::string topic, TopicOf(*event.schema, stop));
    PGFLOW_ASSIGN_OR_RETURN(route, MakeRoute(topic));
  }
  last_schema_ = event.schema;
  last_route_ = &route;
  return &route;
}

absl::Status MessageWriter::Send(const engine::Batch& batch, const ChangeEvent& event, uint64_t tag,
                                 bool careful, const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(Route* const route, RouteOf(event, stop));
  if (!route->wanted) return absl::OkStatus();  // Not one of `tables`: another sink may take it.
  if (encoder_->Skips(event.operation)) return absl::OkStatus();
  PGFLOW_RETURN_IF_ERROR(FollowTransaction(batch, event, stop));
  encoder_->SetTopic(route->name);
  PGFLOW_ASSIGN_OR_RETURN(const std::span<const EncodedMessage> messages,
                          encoder_->Encode(batch, event));
  SetHeaders(batch, event);
  const size_t own_headers = headers_.size();
  kafka::Message message;
  message.topic = route->topic;
  message.tag = tag;
  if (event.operation == Operation::kSchemaChange) message.partition = 0;
  for (const EncodedMessage& encoded : messages) {
    message.has_key = encoded.keyed;
    message.key = encoded.keyed ? encoded.key : std::string_view();
    message.has_value = !encoded.tombstone;
    message.value = encoded.value;
    headers_.resize(own_headers);
    if (!headers_.empty()) headers_.back().value = engine::OperationName(encoded.operation);
    if (!encoded.other_key.empty()) {
      const bool ends = encoded.operation == Operation::kDelete;
      headers_.push_back({ends ? "__debezium.newkey" : "__debezium.oldkey", encoded.other_key});
    }
    for (const MessageHeader& header : encoded.headers) {
      headers_.push_back({header.name.c_str(), header.value});
    }
    message.headers = headers_;
    const uint64_t size = message.key.size() + message.value.size();
    if (careful) PGFLOW_RETURN_IF_ERROR(CheckSize(*route, size, stop));
    const absl::Status sent = event.operation == Operation::kTruncate
                                  ? SendEverywhere(*route, message, stop)
                                  : producer_.Send(message, stop);
    if (!sent.ok() && !producer_.failure().has_value() &&
        !base::Payload(sent, kafka::kTooLargePayload).empty()) {
      return TooLarge(route->name, IsSnapshotOf(event) ? "" : PlaceOf(tag), size,
                      "message_bytes_max", config_.message_bytes_max.bytes);
    }
    PGFLOW_RETURN_IF_ERROR(sent);
    bytes_ += size;
  }
  return absl::OkStatus();
}

void MessageWriter::BeginRange(std::string_view first_mark, std::string_view last_mark) {
  first_mark_ = first_mark;
  last_mark_ = last_mark;
  kept_.reset();
}

absl::Status MessageWriter::FinishRange(std::stop_token stop) {
  return kept_.has_value() ? SendKept(true, stop) : absl::OkStatus();
}

absl::Status MessageWriter::Keep(const engine::Batch& batch, const ChangeEvent& event, uint64_t tag,
                                 bool careful, const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(Route* const route, RouteOf(event, stop));
  if (!route->wanted) return absl::OkStatus();
  KeptMessage kept;
  kept.route = route;
  kept.tag = tag;
  encoder_->Follow(nullptr);
  encoder_->SetTopic(route->name);
  for (const bool last : {false, true}) {
    if (last) encoder_->SetSnapshotMark(last_mark_);
    PGFLOW_ASSIGN_OR_RETURN(const std::span<const EncodedMessage> messages,
                            encoder_->Encode(batch, event));
    // An outbox's delete, which a snapshot does not have.
    if (messages.empty()) return absl::OkStatus();
    (last ? kept.last_value : kept.value) = messages.front().value;
    kept.keyed = messages.front().keyed;
    kept.key = messages.front().key;
  }
  SetHeaders(batch, event);
  for (const kafka::Header& header : headers_) kept.headers.emplace_back(header.name, header.value);
  if (!kept.headers.empty()) kept.headers.back().second = engine::OperationName(event.operation);
  if (careful) {
    PGFLOW_RETURN_IF_ERROR(CheckSize(*route, kept.key.size() + kept.last_value.size(), stop));
  }
  kept_ = std::move(kept);
  return absl::OkStatus();
}

absl::Status MessageWriter::SendKept(bool last, const std::stop_token& stop) {
  const KeptMessage kept = *std::exchange(kept_, std::nullopt);
  headers_.clear();
  for (const auto& [name, value] : kept.headers) headers_.push_back({name.c_str(), value});
  kafka::Message message;
  message.topic = kept.route->topic;
  message.tag = kept.tag;
  message.has_key = kept.keyed;
  message.key = kept.key;
  message.has_value = true;
  message.value = last ? kept.last_value : kept.value;
  message.headers = headers_;
  bytes_ += message.key.size() + message.value.size();
  return producer_.Send(message, stop);
}

absl::Status MessageWriter::SendEverywhere(const Route& route, kafka::Message message,
                                           const std::stop_token& stop) {
  // Asked anew: partitions may have been added.
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<int32_t> count, topics_.Count(route.name, stop));
  for (message.partition = 0; message.partition < count.value_or(1); ++message.partition) {
    PGFLOW_RETURN_IF_ERROR(producer_.Send(message, stop));
  }
  return absl::OkStatus();
}

absl::Status MessageWriter::CheckSize(Route& route, uint64_t bytes, const std::stop_token& stop) {
  if (route.bytes_max == 0) {
    PGFLOW_ASSIGN_OR_RETURN(route.bytes_max, topics_.BytesMax(route.name, stop));
  }
  if (bytes + kOverheadBytes <= route.bytes_max) return absl::OkStatus();
  return TooLarge(route.name, "", bytes, "its max.message.bytes", route.bytes_max);
}

absl::Status MessageWriter::TooLarge(std::string_view topic, std::string_view place, uint64_t bytes,
                                     std::string_view limit, uint64_t bytes_max) const {
  absl::Status status = base::MakeStatus(
      absl::StatusCode::kInvalidArgument,
      "topic {}: a message of {} bytes{}{} is larger than {} ({} bytes); raise max.message.bytes "
      "of the topic and message_bytes_max, or give the sink a dead letter",
      topic, bytes, place.empty() ? "" : " at ", place, limit, bytes_max);
  if (!place.empty()) base::SetPayload(status, engine::kCulpritPayload, place);
  return status;
}

absl::Status MessageWriter::ExplainRefusal(const absl::Status& status, std::stop_token stop) {
  if (status.code() != absl::StatusCode::kInvalidArgument || !producer_.failure().has_value()) {
    return status;
  }
  const kafka::DeliveryFailure& failure = *producer_.failure();
  const std::string place = PlaceOf(failure.tag);
  if (base::Payload(failure.error, kafka::kTooLargePayload).empty()) {
    absl::Status named = base::Annotate(status, place.empty() ? "a row" : place);
    if (!place.empty()) base::SetPayload(named, engine::kCulpritPayload, place);
    return named;
  }
  PGFLOW_ASSIGN_OR_RETURN(const uint64_t bytes_max, topics_.BytesMax(failure.topic, stop));
  if (batch_bytes_max_ + kOverheadBytes <= bytes_max) {
    return TooLarge(failure.topic, place, failure.bytes, "its max.message.bytes", bytes_max);
  }
  batch_bytes_max_ = bytes_max / 2;
  return base::MakeStatus(
      absl::StatusCode::kAborted,
      "topic {} takes batches of {} bytes at most: from now on they are smaller", failure.topic,
      bytes_max);
}

}  // namespace pgflow::sinks
