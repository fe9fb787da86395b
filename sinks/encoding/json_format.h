// JsonFormat: changes as JSON objects.
//
//   {"position":"0/16B3748:0",
//    "transaction":{"xid":745,"commit_lsn":"0/16B3748","commit_time":"2026-01-31T12:00:00.000001Z",
//                   "ordinal":0},
//    "operation":"update","schema":"public","table":"orders","key":{"id":7},
//    "before":null,"after":{"id":7,"total":12.50},"unchanged":["note"]}
//
// (in one line, without blanks.) A snapshot row ("read") has null for the transaction; its position
// is the snapshot's, which all rows of a snapshot share and no later change of them is before.
// `key` holds the key columns of the row after the change, or before a delete; null where the table
// has none. `before` of an identity by key has the identity columns only. `unchanged` (updates, and
// what they are split into) names the columns that the source did not send because they are TOASTed
// and were not touched: they are not in `after`. A truncate has `cascade` and `restart_identity`
// instead of the row. Where messages are placed by key, an update that changes the key is a delete
// and an insert, both with "key_changed":true.
//
// A change that is replayed over rows that may already hold a later state (ChangeEvent::catch_up)
// has "catch_up":true.
//
// Values are those of json_value.h. With relations, enough is written to make the same event again
// (sources/kafka does): json and jsonb are strings with the value's own text, and behind the
// table's name comes what it looks like,
//
//   "relation":{"identity":"default","columns":[
//     {"name":"id","type":"integer","oid":23,"identity":true,"primary_key":1},
//     {"name":"mood","type":"public.mood","oid":16400,"wire":25,"modifier":-1},...]}
//
// `identity` is default, index, full or nothing. `wire` and `modifier` are left out where they say
// nothing (schemas::Column), `identity` and `primary_key` where the column is not part of those.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sinks/encoding/event_format.h"
#include "sinks/encoding/schema_plans.h"
#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {

class JsonFormat final : public EventFormat {
 public:
  enum class Relations : uint8_t { kLeaveOut, kWrite };
  explicit JsonFormat(Relations relations = Relations::kLeaveOut) : relations_(relations) {}

  void StartBatch() override { plans_.StartBatch(); }
  absl::Status AppendKey(const Change& change, const std::vector<size_t>& columns,
                         std::string& out) override;
  absl::Status AppendValue(const engine::Batch& batch, const engine::ChangeEvent& event,
                           const Change& change, const std::vector<size_t>& key_columns,
                           std::string& out) override;
  absl::Status AppendSchemaChange(const engine::Batch& batch, const engine::ChangeEvent& event,
                                  std::string& out) override;

 private:
  struct ColumnPlan {
    std::string name_json;  // "name":
    const TypeText* type = nullptr;
    bool identity = false;
    bool as_string = false;  // JSON, written as a string.
  };
  struct Plan {
    std::string names_json;  // "schema":"...","table":"...", and the relation
    std::vector<ColumnPlan> columns;
  };

  absl::StatusOr<const Plan*> PlanOf(const schemas::TableSchema& schema);
  void AppendStart(const engine::Batch& batch, const engine::ChangeEvent& event,
                   engine::Operation operation, std::string& out);
  static void AppendKeyColumns(const Plan& plan, const RowValues& values,
                               const std::vector<size_t>& columns, std::string& out);
  static void AppendRows(const Plan& plan, const Change& change, std::string& out);
  static void AppendUnchanged(const Plan& plan, const RowValues& values, std::string& out);
  // Columns of `values`, all or those of the identity; unchanged ones are left out.
  static void AppendColumns(const Plan& plan, const RowValues& values, bool identity_only,
                            std::string& out);

  const Relations relations_;
  SchemaPlans<Plan> plans_;
  // The JSON of the transaction that was written last, up to its ordinal.
  engine::TransactionSpan transaction_;
  std::string transaction_json_;
};

}  // namespace pgflow::sinks
