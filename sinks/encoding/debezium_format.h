// DebeziumFormat: changes in the envelope of Debezium's connector for PostgreSQL, as Kafka
// Connect's JSON converter writes it, so that its consumers work unchanged.
//
//   {"before":null,"after":{"id":7,"total":"BOI="},
//    "source":{"version":"0.1.0","connector":"postgresql","name":"shop","ts_ms":1795379252500,
//              "snapshot":"false","db":"shop","sequence":"[\"23823224\",\"0\"]",
//              "ts_us":1795379252500808,"ts_ns":1795379252500808000,"schema":"public",
//              "table":"orders","txId":727,"lsn":23823224,"xmin":null},
//    "transaction":null,"op":"c","ts_ms":1795379253008}
//
// With schemas, {"schema":{...},"payload":{...}}. `op` is c, u, d, r (a snapshot row) or t. What
// differs from that connector: `lsn` is the transaction's commit LSN and `sequence` that and the
// change's number in it, which order all changes of a slot. A NULL in a column that the catalog
// says to be NOT NULL makes it optional in the schema from there on: the row is older, or a
// transformer made it. A logical message has "op":"m", and so has a schema change, with the
// captured definition in "message". docs/debezium.md goes through all of it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/config/config_spec.h"
#include "sinks/encoding/debezium_schema.h"
#include "sinks/encoding/debezium_type.h"
#include "sinks/encoding/event_format.h"
#include "sinks/encoding/schema_plans.h"

namespace pgflow::sinks {

// What becomes of a value that its form cannot hold: NaN in a decimal, a moment beyond 64 bits, an
// array of several dimensions.
enum class DebeziumUnfit {
  kRefuse,
  kReplace,  // Null, or the nearest moment or interval.
};

struct DebeziumConfig {
  std::string name;
  bool schemas = false;
  DebeziumDecimals decimals = DebeziumDecimals::kPrecise;
  DebeziumIntervals intervals = DebeziumIntervals::kNumeric;
  DebeziumUnfit unfit_values = DebeziumUnfit::kRefuse;
  int32_t money_digits = 2;
  std::vector<std::string> skipped_operations = {"t"};
  std::string unavailable_value = "__debezium_unavailable_value";

  DebeziumForms forms() const { return {decimals, intervals, money_digits}; }
  bool clamps() const { return unfit_values == DebeziumUnfit::kReplace; }
};

config::ConfigSpec<DebeziumConfig> DebeziumSpec();

// A key in a header: Connect's converter of headers knows no schemas, so it writes the key alone,
// and a decimal as a number.
absl::Status AppendDebeziumKeyHeader(std::span<const DebeziumField> fields, const Change& change,
                                     const std::vector<size_t>& columns, bool clamps,
                                     std::string& out);

// What an envelope's `op` says.
std::string_view DebeziumLetter(engine::Operation operation);

class DebeziumFormat final : public EventFormat {
 public:
  // `name` of the configuration is filled in.
  DebeziumFormat(DebeziumConfig config, const std::string& database);

  void StartBatch() override;
  void SetPlace(const TransactionPlace* place) override { place_ = place; }
  void SetSnapshotMark(std::string_view mark) override;
  bool IsDebezium() const override { return true; }
  absl::Status AppendKeyHeader(const Change& change, const std::vector<size_t>& columns,
                               std::string& out) override;
  absl::Status AppendTransactionKey(const TransactionNote& note, std::string& out) override;
  absl::Status AppendTransactionValue(const TransactionNote& note, std::string& out) override;
  absl::Status AppendKey(const Change& change, const std::vector<size_t>& columns,
                         std::string& out) override;
  absl::Status AppendValue(const engine::Batch& batch, const engine::ChangeEvent& event,
                           const Change& change, const std::vector<size_t>& key_columns,
                           std::string& out) override;
  absl::Status AppendSchemaChange(const engine::Batch& batch, const engine::ChangeEvent& event,
                                  std::string& out) override;

 private:
  // What stands in front of each message when schemas are wanted; longer than most rows.
  struct SchemaTexts {
    std::vector<size_t> key_columns;  // That both were made for.
    std::string key;                  // {"schema":{...},"payload":
    std::string value;
  };
  struct Plan {
    mutable std::vector<DebeziumField> columns;  // `required` may turn out to be wrong.
    bool logical_messages = false;
    std::string source_json;                   // "schema":"...","table":"...",
    mutable std::optional<SchemaTexts> texts;  // Made when first asked for.
  };

  absl::StatusOr<Plan> Derive(const schemas::TableSchema& schema) const;
  absl::StatusOr<const Plan*> PlanOf(const schemas::TableSchema& schema);
  const SchemaTexts& TextsOf(const schemas::TableSchema& schema, const Plan& plan,
                             const std::vector<size_t>& key_columns) const;
  absl::Status AppendRow(const Plan& plan, const Change& change, const RowValues* values,
                         bool identity_only, std::string& out) const;
  void AppendSource(const engine::Batch& batch, const engine::ChangeEvent& event,
                    std::string_view table_json, std::string& out);
  void MakeSourceTexts(const engine::Batch& batch, uint64_t lsn,
                       const engine::TransactionSpan* span);
  void AppendEnd(std::string_view operation, std::string& out) const;
  absl::Status AppendColumn(const Plan& plan, const Change& change, size_t column,
                            const schemas::Value& value, std::string& out) const;
  absl::Status AppendEnvelope(const engine::Batch& batch, const engine::ChangeEvent& event,
                              const Plan& plan, const Change& change,
                              const std::vector<size_t>& key_columns, std::string& out);
  absl::Status AppendMessage(const engine::Batch& batch, const engine::ChangeEvent& event,
                             const Plan& plan, const RowValues& row, std::string& out);

  const DebeziumConfig config_;
  std::string source_start_;  // "source":{"version":...,"connector":...,"name":...
  std::string database_json_;
  int64_t now_micros_ = 0;  // Of the batch's start, since 1970.
  std::string end_;         // ","ts_ms":... of the batch.
  // What all events of a transaction (of a snapshot's batch) have in `source`: in front of the
  // ordinal, behind it, behind the table; and what they were made for.
  std::string source_head_;
  std::string source_middle_;
  std::string source_tail_;
  std::optional<uint64_t> source_lsn_;
  uint32_t source_xid_ = 0;
  const TransactionPlace* place_ = nullptr;
  std::string_view snapshot_mark_ = "true";
  SchemaPlans<Plan> plans_;
};

}  // namespace pgflow::sinks
