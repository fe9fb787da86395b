#include "sinks/encoding/event_encoder.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/status.h"
#include "sinks/encoding/cloud_events_format.h"
#include "sinks/encoding/json_format.h"
#include "sinks/encoding/json_value.h"
#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {

using engine::Operation;

config::ConfigSpec<EncodingConfig> EncodingSpec() {
  config::ConfigSpec<EncodingConfig> spec;
  spec.Field("format", &EncodingConfig::format, "How a change is written.")
      .Choice({{"json", Encoding::kJson},
               {"debezium", Encoding::kDebezium},
               {"cloudevents", Encoding::kCloudEvents},
               {"avro", Encoding::kAvro}});
  spec.Field("relations", &EncodingConfig::relations,
             "Of the format `json`: each message also says what its table looks like (`relation`: "
             "columns, types, key), and json values are strings in their own text. With it the "
             "source `kafka` makes the same values again; without, it refuses the messages.");
  spec.Section("keys", &EncodingConfig::keys, KeySpec(),
               "Other key columns than the primary key or replica identity. The first rule that "
               "matches a table counts. Columns that are not in the replica identity need REPLICA "
               "IDENTITY FULL once rows are updated or deleted.");
  spec.Section("debezium", &EncodingConfig::debezium, DebeziumSpec(),
               "Of the formats `debezium` and `avro`: what its connector for PostgreSQL sends to "
               "Kafka.");
  spec.Section("cloudevents", &EncodingConfig::cloudevents, CloudEventsSpec(),
               "Of the format `cloudevents`.");
  spec.Section("avro", &EncodingConfig::avro, AvroSpec(),
               "Of the format `avro`, which the sink `kafka` has with a `schema_registry`.");
  return spec;
}

namespace {

absl::Status CheckAvro(const EncodingConfig& config, const EncoderOptions& options) {
  if (options.schema_ids == nullptr) {
    return absl::InvalidArgumentError(
        "encoding.format avro needs a schema registry, which the sink kafka alone has "
        "(schema_registry)");
  }
  if (config.debezium.schemas) {
    return absl::InvalidArgumentError(
        "encoding.debezium.schemas is of the format debezium: Avro's schemas are in the registry");
  }
  if (config.avro.envelope == AvroEnvelope::kRow &&
      options.placement != Placement::kByKeyWithTombstones) {
    return absl::InvalidArgumentError(
        "encoding.avro.envelope row says a delete with a tombstone, so it needs tombstones: true");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<EventEncoder>> EventEncoder::Make(const EncodingConfig& config,
                                                                 const EncoderOptions& options) {
  PGFLOW_ASSIGN_OR_RETURN(KeyChoice keys, KeyChoice::Make(config.keys));
  if (config.relations && config.format != Encoding::kJson) {
    return absl::InvalidArgumentError("encoding.relations is of the format json");
  }
  DebeziumConfig debezium = config.debezium;
  if (debezium.name.empty()) debezium.name = options.pipeline;
  const std::vector<std::string> skipped = debezium.skipped_operations;
  std::unique_ptr<EventFormat> format;
  switch (config.format) {
    case Encoding::kJson:
      format = std::make_unique<JsonFormat>(config.relations ? JsonFormat::Relations::kWrite
                                                             : JsonFormat::Relations::kLeaveOut);
      break;
    case Encoding::kCloudEvents:
      if (config.cloudevents.mode == CloudEventsMode::kBinary && !options.has_headers) {
        return absl::InvalidArgumentError(
            "encoding.cloudevents.mode binary needs messages with headers, which the sink kafka "
            "alone has");
      }
      format = std::make_unique<CloudEventsFormat>("/pgflow/" + options.pipeline,
                                                   config.cloudevents.mode);
      break;
    case Encoding::kDebezium:
      format = std::make_unique<DebeziumFormat>(std::move(debezium), options.database);
      break;
    case Encoding::kAvro:
      PGFLOW_RETURN_IF_ERROR(CheckAvro(config, options));
      format = std::make_unique<AvroFormat>(config.avro, std::move(debezium), options.database,
                                            *options.schema_ids);
      break;
  }
  auto encoder = std::make_unique<EventEncoder>(std::move(format), std::move(keys),
                                                options.placement, options.has_headers);
  PGFLOW_RETURN_IF_ERROR(base::Annotate(encoder->Skip(skipped), "debezium.skipped_operations"));
  return encoder;
}

absl::Status EventEncoder::Skip(std::span<const std::string> letters) {
  constexpr std::pair<std::string_view, Operation> kLetters[] = {{"c", Operation::kInsert},
                                                                 {"u", Operation::kUpdate},
                                                                 {"d", Operation::kDelete},
                                                                 {"t", Operation::kTruncate}};
  unsigned skipped = 0;
  for (const std::string& letter : letters) {
    if (letter == "none" && letters.size() == 1) continue;
    const auto* found =
        std::ranges::find(kLetters, letter, &std::pair<std::string_view, Operation>::first);
    if (found == std::end(kLetters)) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "'{}' is none of c, u, d and t, nor none alone", letter);
    }
    skipped |= 1U << static_cast<unsigned>(found->second);
  }
  if (IsDebezium()) skipped_ = skipped;
  return absl::OkStatus();
}

absl::StatusOr<std::span<const EncodedMessage>> EventEncoder::Encode(
    const engine::Batch& batch, const engine::ChangeEvent& event) {
  buffer_.clear();
  pieces_.clear();
  key_changed_ = false;
  headers_.clear();
  messages_.clear();
  if (Skips(event.operation)) return messages_;
  if (event.operation == Operation::kSchemaChange) {
    format_->SetPlace(nullptr);
    Piece piece;
    piece.operation = event.operation;
    if (has_headers_ && format_->HasHeaders()) {
      PGFLOW_RETURN_IF_ERROR(
          format_->AppendHeaders(batch, event, {.operation = event.operation}, {}, headers_));
      piece.headers_end = headers_.size();
    }
    PGFLOW_RETURN_IF_ERROR(format_->AppendSchemaChange(batch, event, buffer_));
    piece.end = buffer_.size();
    pieces_.push_back(piece);
  } else if (has_headers_ && event.schema->rows == schemas::RowKind::kOutbox) {
    PGFLOW_RETURN_IF_ERROR(EncodeOutbox(event));
  } else {
    PGFLOW_RETURN_IF_ERROR(EncodeRow(batch, event));
  }
  const std::string_view bytes = buffer_;
  for (const Piece& piece : pieces_) {
    messages_.push_back(
        {.key = bytes.substr(piece.key, piece.value - piece.key),
         .value = bytes.substr(piece.value, piece.end - piece.value),
         .operation = piece.operation,
         .keyed = piece.keyed,
         .tombstone = piece.tombstone,
         .other_key = {},
         .headers = std::span(headers_).subspan(piece.headers, piece.headers_end - piece.headers)});
  }
  if (key_changed_ && format_->IsDebezium()) {
    // The tombstone of the old key is told, too.
    for (EncodedMessage& message : messages_) {
      message.other_key = bytes.substr(new_key_, keys_end_ - new_key_);
    }
    messages_.back().other_key = bytes.substr(old_key_, new_key_ - old_key_);
  }
  return messages_;
}

absl::Status EventEncoder::EncodeOutbox(const engine::ChangeEvent& event) {
  constexpr size_t kKey = 0, kPayload = 1;
  PGFLOW_RETURN_IF_ERROR(rows_.Decode(event));
  const Change& change = rows_.change();
  if (change.after == nullptr) return absl::OkStatus();
  const RowValues& row = *change.after;
  const auto append = [&](size_t column, std::string& out) -> absl::Status {
    const schemas::Column& described = event.schema->columns[column];
    if (described.type == postgres::oid::kBytea &&
        row[column].kind == schemas::ValueKind::kBinary) {
      out += row[column].view();
      return absl::OkStatus();
    }
    if (AppendValueText(row[column], FindTypeText(described), out)) return absl::OkStatus();
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "topic {}: column {} of the outbox cannot be read as text",
                            event.schema->table.name, described.name);
  };
  Piece piece;
  piece.operation = Operation::kInsert;
  piece.keyed = !row[kKey].is_null();
  if (piece.keyed) PGFLOW_RETURN_IF_ERROR(append(kKey, buffer_));
  piece.value = buffer_.size();
  piece.tombstone = row[kPayload].is_null();
  if (!piece.tombstone) PGFLOW_RETURN_IF_ERROR(append(kPayload, buffer_));
  piece.end = buffer_.size();
  for (size_t i = kPayload + 1; i < row.size(); ++i) {
    if (row[i].is_null()) continue;
    MessageHeader& header = headers_.emplace_back();
    header.name = event.schema->columns[i].name;
    PGFLOW_RETURN_IF_ERROR(append(i, header.value));
  }
  piece.headers_end = headers_.size();
  pieces_.push_back(piece);
  return absl::OkStatus();
}

absl::StatusOr<EncodedMessage> EventEncoder::EncodeTransaction(const TransactionNote& note) {
  buffer_.clear();
  PGFLOW_RETURN_IF_ERROR(format_->AppendTransactionKey(note, buffer_));
  const size_t value = buffer_.size();
  PGFLOW_RETURN_IF_ERROR(format_->AppendTransactionValue(note, buffer_));
  const std::string_view bytes = buffer_;
  EncodedMessage message;
  message.keyed = true;
  message.key = bytes.substr(0, value);
  message.value = bytes.substr(value);
  return message;
}

absl::Status EventEncoder::EncodeRow(const engine::Batch& batch, const engine::ChangeEvent& event) {
  PGFLOW_ASSIGN_OR_RETURN(
      const KeyPlan* plan,
      key_plans_.Get(*event.schema,
                     [this](const schemas::TableSchema& schema) -> absl::StatusOr<KeyPlan> {
                       KeyPlan made;
                       PGFLOW_ASSIGN_OR_RETURN(made.columns, keys_.ColumnsOf(schema));
                       if (made.columns.empty() && schemas::HoldsLogicalMessages(schema)) {
                         made.columns = {0};  // The prefix.
                       }
                       made.in_identity = std::ranges::all_of(
                           made.columns, [&](size_t i) { return schema.columns[i].identity; });
                       return made;
                     }));
  PGFLOW_RETURN_IF_ERROR(rows_.Decode(event));
  const Change& change = rows_.change();
  const bool old_row_matters =
      event.operation == Operation::kDelete ||
      (event.operation == Operation::kUpdate && placement_ != Placement::kInOrder);
  // Without it the old key is not known, and whoever holds it would not hear that it ended.
  if (old_row_matters && !plan->in_identity && !change.before_is_whole) {
    return base::MakeStatus(
        absl::StatusCode::kFailedPrecondition,
        "table {}: `keys` names columns that are not in its replica identity, so the key of a row "
        "before an UPDATE or DELETE is not known; ALTER TABLE {} REPLICA IDENTITY FULL",
        event.schema->table.ToString(), schemas::QuoteTable(event.schema->table));
  }
  // Debezium's connectors send a tombstone without a key, too.
  const bool ends_a_key =
      event.operation == Operation::kDelete && (!plan->columns.empty() || format_->IsDebezium());
  if (placement_ == Placement::kInOrder || event.operation != Operation::kUpdate ||
      !rows_.Differs(plan->columns)) {
    PGFLOW_RETURN_IF_ERROR(Append(batch, event, change, *plan));
    if (ends_a_key) AppendTombstone();
    return absl::OkStatus();
  }
  PGFLOW_RETURN_IF_ERROR(Append(batch, event, rows_.OldKeyDeleted(), *plan));
  AppendTombstone();
  key_changed_ = true;
  PGFLOW_RETURN_IF_ERROR(Append(batch, event, rows_.NewKeyInserted(), *plan));
  if (!format_->IsDebezium()) return absl::OkStatus();
  old_key_ = buffer_.size();
  PGFLOW_RETURN_IF_ERROR(format_->AppendKeyHeader(rows_.OldKeyDeleted(), plan->columns, buffer_));
  new_key_ = buffer_.size();
  PGFLOW_RETURN_IF_ERROR(format_->AppendKeyHeader(rows_.NewKeyInserted(), plan->columns, buffer_));
  keys_end_ = buffer_.size();
  return absl::OkStatus();
}

absl::Status EventEncoder::Append(const engine::Batch& batch, const engine::ChangeEvent& event,
                                  const Change& change, const KeyPlan& plan) {
  Piece piece;
  piece.key = buffer_.size();
  piece.operation = change.operation;
  piece.keyed = change.keyed_row() != nullptr && !plan.columns.empty();
  if (piece.keyed) PGFLOW_RETURN_IF_ERROR(format_->AppendKey(change, plan.columns, buffer_));
  piece.value = buffer_.size();
  piece.tombstone = piece.keyed && !format_->HasValue(change);
  if (!piece.tombstone) {
    if (has_headers_ && format_->HasHeaders()) {
      piece.headers = headers_.size();
      PGFLOW_RETURN_IF_ERROR(format_->AppendHeaders(batch, event, change, plan.columns, headers_));
      piece.headers_end = headers_.size();
    }
    std::optional<TransactionPlace> place;
    if (transactions_ != nullptr) place = transactions_->Count(change.schema->table);
    format_->SetPlace(place.has_value() ? &*place : nullptr);
    PGFLOW_RETURN_IF_ERROR(format_->AppendValue(batch, event, change, plan.columns, buffer_));
  }
  piece.end = buffer_.size();
  pieces_.push_back(piece);
  return absl::OkStatus();
}

// For the key of the message before it: a compacted log forgets the key altogether.
void EventEncoder::AppendTombstone() {
  if (placement_ != Placement::kByKeyWithTombstones || pieces_.back().tombstone) return;
  Piece piece = pieces_.back();
  const std::string key = buffer_.substr(piece.key, piece.value - piece.key);
  piece.key = buffer_.size();
  buffer_ += key;
  piece.value = piece.end = buffer_.size();
  piece.tombstone = true;
  piece.headers = piece.headers_end = 0;
  pieces_.push_back(piece);
}

}  // namespace pgflow::sinks
