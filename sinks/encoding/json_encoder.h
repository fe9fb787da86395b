// JsonEncoder: changes as JSON objects, written straight into the caller's buffer. Shared by the
// sinks that speak JSON; each owns its own encoders.
//
//   {"position":"0/16B3748:0",
//    "transaction":{"xid":745,"commit_lsn":"0/16B3748","commit_time":"2026-01-31T12:00:00.000001Z",
//                   "ordinal":0},
//    "operation":"update","schema":"public","table":"orders","key":{"id":7},
//    "before":null,"after":{"id":7,"total":12.50},"unchanged":["note"]}
//
// (in one line, without blanks.) A snapshot row ("read") has null for the transaction; its position
// is the snapshot's, which all rows of a snapshot share and no later change of them is before.
// `key` holds the identity columns of the row after the change, or before a delete; null where the
// table has none or the whole row is the identity. `before` of an identity by key has the key
// columns only. `unchanged` (updates only) names the columns that the source did not send because
// they are TOASTed and were not touched: they are not in `after`. A truncate has `cascade` and
// `restart_identity` instead of the row.
//
// Values lose nothing: int2/4/8, oid, float4/8 and numeric are JSON numbers digit for digit (a
// reader that puts numbers into doubles rounds beyond 2^53), NaN and infinities strings; bool is
// true or false; json and jsonb are inline; bytea is "\\x.." in hex; everything else is a string
// with the type's text output (zone UTC, ISO dates). A binary value of a type that is not known
// here, and text that is not UTF-8, become {"binary":"<base64>"}.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <absl/status/status.h>

#include "engine/api/batch.h"
#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {

// Appends one value as JSON; `unchanged` values as null. `type` may be null (see above).
void AppendJsonValue(const schemas::Value& value, const TypeText* type, std::string& out);

// Appends the text output of a value. False for a binary one that cannot be read; `out` is then
// unchanged. NULL and unchanged append nothing.
bool AppendValueText(const schemas::Value& value, const TypeText* type, std::string& out);

// One thread at a time.
class JsonEncoder {
 public:
  // Must be called before the first event of each batch: a schema's address may mean another one
  // than it did in an earlier batch.
  void StartBatch() { ++batch_; }

  // Appends one object, without a line end. kDataLoss when a row does not fit its schema (`out` is
  // then unchanged).
  absl::Status AppendEvent(const engine::Batch& batch, const engine::ChangeEvent& event,
                           std::string& out);

  // Appends {"column":value,...} for a whole row.
  absl::Status AppendRow(const schemas::TableSchema& schema, const schemas::RowView& row,
                         std::string& out);

 private:
  struct ColumnPlan {
    std::string name_json;  // "name":
    const TypeText* type = nullptr;
    bool identity = false;
  };
  struct Plan {
    schemas::TableSchema schema;  // A copy, to recognise another one at the same address.
    uint64_t checked_in_batch = 0;
    bool has_key = false;
    std::string names_json;  // "schema":"...","table":"..."
    std::vector<ColumnPlan> columns;
  };
  using Values = std::vector<schemas::Value>;

  const Plan& PlanOf(const schemas::TableSchema& schema);
  absl::Status Decode(const Plan& plan, const schemas::RowView& row, Values& values) const;
  void AppendTransaction(const engine::Batch& batch, const engine::ChangeEvent& event,
                         std::string& out);
  void AppendImages(const Plan& plan, const engine::ChangeEvent& event, std::string& out);
  // Columns of `values`, all or those of the identity; unchanged ones are left out.
  static void AppendColumns(const Plan& plan, const Values& values, bool identity_only,
                            std::string& out);

  uint64_t batch_ = 1;
  std::unordered_map<const schemas::TableSchema*, Plan> plans_;
  Values before_;
  Values after_;
  // The JSON of the transaction that was written last, up to its ordinal.
  engine::TransactionSpan transaction_;
  std::string transaction_json_;
};

}  // namespace pgflow::sinks
