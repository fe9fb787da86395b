// ConnectType, AppendConnectText: values of Kafka Connect's JSON converter as text that Postgres
// reads, by the types that Debezium's connector for PostgreSQL gives them.
//
// Immutable; pure. What Debezium itself rounds off stays so: an interval has microseconds only, a
// varbit the length of its bits as its schema has it, a bit(1) is a boolean.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <absl/status/statusor.h>

#include "postgres/types/oid.h"

namespace pgflow::sources {

struct ConnectType {
  enum class Form : uint8_t {
    kNumber,
    kBool,
    kString,
    kBytes,
    kBits,
    kDecimal,
    kVariableDecimal,
    kDate,
    kTime,       // Of `micros` each.
    kTimestamp,  // The same.
    kZonedTimestamp,
    kDuration,
    kPoint,
    kArray,
  };

  Form form = Form::kString;
  int64_t micros = 1;  // A unit of kTime and kTimestamp; negative: so many units a microsecond.
  int32_t scale = 0;   // kDecimal.
  int64_t length = 0;  // kBits.
  std::shared_ptr<const ConnectType> element;  // kArray.
  postgres::Oid type = 0;                      // The built-in type that it comes from; 0: many.
};

// Of a field's schema, {"type":"int32","name":"io.debezium.time.Date",...}. kFailedPrecondition: a
// type that has no text (maps, structs other than those of Debezium).
absl::StatusOr<ConnectType> ReadConnectType(std::string_view schema);

// Appends the text of a value that is not null. kDataLoss: it does not fit its type.
absl::Status AppendConnectText(const ConnectType& type, std::string_view value, std::string& out);

}  // namespace pgflow::sources
