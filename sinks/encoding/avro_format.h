// AvroFormat: changes in Avro, as Debezium's connector for PostgreSQL writes them through the Avro
// converter of Confluent's platform, so that its consumers work unchanged.
//
// A key or a value is a zero byte, the four bytes of its schema's number in the registry, and
// Avro's binary encoding. The envelope is DebeziumFormat's, with all that is said there; the types
// carry Kafka Connect's metadata (connect.name). With the envelope `row`, the value is the row
// itself, and a delete a tombstone alone. Names are made Avro's: see avro_schema.h. In an update a
// value that the source did not send is the placeholder; where the type cannot hold it, the update
// is refused, as null would say something else.
//
// A schema change is {source, op "m", message {prefix "pgflow", content}}, with the captured
// definition as bytes. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/config/config_spec.h"
#include "sinks/encoding/debezium_format.h"
#include "sinks/encoding/debezium_schema.h"
#include "sinks/encoding/event_format.h"
#include "sinks/encoding/schema_ids.h"
#include "sinks/encoding/schema_plans.h"

namespace pgflow::sinks {

enum class AvroEnvelope { kDebezium, kRow };
// What a subject is called in the registry.
enum class AvroSubject { kTopic, kRecord, kTopicRecord };

struct AvroConfig {
  AvroEnvelope envelope = AvroEnvelope::kDebezium;
  AvroSubject subject = AvroSubject::kTopic;
};

config::ConfigSpec<AvroConfig> AvroSpec();

class AvroFormat final : public EventFormat {
 public:
  // `name` of `debezium` is filled in. `ids` must outlive this.
  AvroFormat(AvroConfig avro, DebeziumConfig debezium, std::string database, SchemaIds& ids);

  void StartBatch() override;
  void SetTopic(std::string_view topic) override { topic_ = topic; }
  void SetPlace(const TransactionPlace* place) override { place_ = place; }
  void SetSnapshotMark(std::string_view mark) override { snapshot_mark_ = mark; }
  absl::Status AppendKeyHeader(const Change& change, const std::vector<size_t>& columns,
                               std::string& out) override;
  bool IsDebezium() const override { return avro_.envelope == AvroEnvelope::kDebezium; }
  absl::Status AppendTransactionKey(const TransactionNote& note, std::string& out) override;
  absl::Status AppendTransactionValue(const TransactionNote& note, std::string& out) override;
  bool HasValue(const Change& change) const override;
  absl::Status AppendKey(const Change& change, const std::vector<size_t>& columns,
                         std::string& out) override;
  absl::Status AppendValue(const engine::Batch& batch, const engine::ChangeEvent& event,
                           const Change& change, const std::vector<size_t>& key_columns,
                           std::string& out) override;
  absl::Status AppendSchemaChange(const engine::Batch& batch, const engine::ChangeEvent& event,
                                  std::string& out) override;

 private:
  // One schema and its numbers. They depend on the topic where the subject does.
  struct Schema {
    std::string text;  // Empty: not made yet.
    std::string record;
    std::string about;  // For messages: "table public.t".
    std::map<std::string, uint32_t, std::less<>> ids;
  };
  struct Plan {
    std::vector<DebeziumField> fields;
    mutable Schema key;
    mutable Schema value;
  };

  absl::StatusOr<const Plan*> PlanOf(const schemas::TableSchema& schema);
  absl::Status AppendHeader(Schema& schema, std::string_view part, std::string& out);
  absl::Status MakeSchema(const schemas::TableSchema& table, const Plan& plan,
                          const std::vector<size_t>& key_columns, bool key, Schema& schema) const;
  absl::Status AppendColumn(const DebeziumField& field, const schemas::Value& value, bool optional,
                            std::string& out) const;
  absl::Status AppendRow(const Plan& plan, const Change& change, const RowValues& values,
                         bool identity_only, const std::vector<size_t>& key_columns,
                         std::string& out) const;
  void AppendSource(const engine::Batch& batch, const engine::ChangeEvent& event,
                    const schemas::TableName& table, std::string& out) const;

  const AvroConfig avro_;
  const DebeziumConfig debezium_;
  const std::string database_;
  SchemaIds& ids_;
  std::string topic_;
  int64_t now_micros_ = 0;  // Of the batch's start, since 1970.
  const TransactionPlace* place_ = nullptr;
  std::string_view snapshot_mark_ = "true";
  Schema message_;
  Schema transaction_key_;
  Schema transaction_;
  SchemaPlans<Plan> plans_;
};

}  // namespace pgflow::sinks
