// DebeziumDecoder: reads envelopes of Debezium's connector for PostgreSQL, as Kafka Connect's JSON
// converter writes them with schemas, and those of sinks/encoding/debezium_format.h.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "sources/kafka/connect_value.h"
#include "sources/kafka/message_decoder.h"

namespace pgflow::sources {

class DebeziumDecoder final : public MessageDecoder {
 public:
  // `unavailable_value` stands for a large value that an update did not touch.
  explicit DebeziumDecoder(const std::string& unavailable_value);
  absl::Status Decode(std::string_view key, std::string_view value, DecodedMessage& out) override;

 private:
  struct Table {
    schemas::TableSchemaPtr schema;
    std::vector<ConnectType> types;  // Of the columns.
  };
  struct Envelope {
    std::string_view before;
    std::string_view after;
    std::string_view source;
    std::string_view op;
    std::string_view message;
  };

  static absl::StatusOr<Envelope> Open(std::string_view payload);
  static absl::Status ReadSource(std::string_view source, schemas::TableName& table,
                                 DecodedMessage& out);
  absl::StatusOr<const Table*> TableOf(const schemas::TableName& name, std::string_view schema,
                                       std::string_view key);
  absl::Status AppendTuple(const Table& table, std::string_view row, bool whole,
                           DecodedMessage& out, std::string& tuple) const;
  bool IsPlaceholder(std::string_view value) const;

  std::vector<std::string> placeholders_;             // As JSON values.
  std::map<std::string, Table, std::less<>> tables_;  // By the text of their schemas.
  std::string table_text_;
};

}  // namespace pgflow::sources
