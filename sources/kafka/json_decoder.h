// JsonDecoder: reads what sinks/encoding/json_format.h writes with relations.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "sources/kafka/message_decoder.h"

namespace pgflow::sources {

class JsonDecoder final : public MessageDecoder {
 public:
  absl::Status Decode(std::string_view key, std::string_view value, DecodedMessage& out) override;

 private:
  // The members of a message, as they are written; empty: it has no such member.
  struct Members {
    std::string_view position;
    std::string_view transaction;
    std::string_view operation;
    std::string_view schema;
    std::string_view table;
    std::string_view relation;
    std::string_view before;
    std::string_view after;
    std::string_view unchanged;
    std::string_view restart_identity;
    std::string_view schema_change;
    bool key_changed = false;
    bool catch_up = false;
  };

  static absl::Status Split(std::string_view value, Members& members);
  absl::Status DecodeTransaction(std::string_view transaction, DecodedMessage& out);
  // The same pointer for the same text.
  absl::StatusOr<schemas::TableSchemaPtr> SchemaOf(const Members& members);
  absl::Status DecodeRows(const Members& members, DecodedMessage& out);
  // `row` as a tuple. Columns that it lacks are unchanged where `unchanged_` says so, NULL where
  // `by_key` says that only the identity is there, else an error.
  absl::Status AppendTuple(const schemas::TableSchema& schema, std::string_view row, bool by_key,
                           std::string& tuple);
  absl::Status AppendValue(const schemas::Column& column, std::string_view value,
                           std::string& tuple);

  std::map<std::string, schemas::TableSchemaPtr, std::less<>> schemas_;
  std::string schema_text_;
  schemas::TableSchemaPtr last_schema_;
  std::string last_schema_text_;
  std::string commit_time_text_;
  absl::Time commit_time_;
  std::vector<std::string_view> values_;  // Of the row at hand, by column.
  std::vector<bool> unchanged_;
  std::string scratch_;
};

}  // namespace pgflow::sources
