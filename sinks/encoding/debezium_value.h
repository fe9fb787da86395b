// Column values in the forms of Debezium's events, as Kafka Connect's JSON converter writes them,
// and its Avro converter.
// Pure; one thread for each.
//
// Values lose nothing but what the form cannot hold: an interval becomes microseconds with months
// of 30.4375 days (as Debezium has it), `double` rounds. A value that has no such form at all (NaN
// in a Decimal) is kInvalidArgument. An infinite date is the largest or smallest int32, an infinite
// timestamp the largest or smallest int64. A binary value of a type that is not known here is a
// string of its bytes, "\\x...". Avro takes no text that is not UTF-8, and no array of several
// dimensions.
#pragma once

#include <string>

#include <absl/status/status.h>

#include "schemas/value.h"
#include "sinks/encoding/debezium_type.h"

namespace pgflow::sinks {

// What a value becomes that its form cannot hold.
struct WriterLimits {
  bool typed = true;    // A reader expects the type of the schema.
  bool clamps = false;  // A moment or interval out of range is the nearest number that there is.
};

// Not for unchanged values. On an error `out` may have got a part.
absl::Status AppendDebeziumValue(const DebeziumType& type, const schemas::Value& value,
                                 WriterLimits limits, std::string& out);

// What stands for a value that the source did not send, where `type` can hold it; else false.
bool AppendDebeziumPlaceholder(const DebeziumType& type, std::string_view placeholder,
                               std::string& out);

// The same in Avro's binary encoding. `optional`: the schema is a union of null and the type.
absl::Status AppendAvroValue(const DebeziumType& type, const schemas::Value& value, bool optional,
                             bool clamps, std::string& out);
bool AppendAvroPlaceholder(const DebeziumType& type, std::string_view placeholder, bool optional,
                           std::string& out);

}  // namespace pgflow::sinks
