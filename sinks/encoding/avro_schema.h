// Avro schemas of Kafka Connect's: what its Avro converter makes of them, metadata included, so
// that connectors find the same types again. Pure, thread-safe.
#pragma once

#include <string>
#include <string_view>

#include <absl/status/statusor.h>

namespace pgflow::sinks {

// A name as Avro allows it: letters, digits and _, no digit first. Others become _, as with
// Debezium's `schema.name.adjustment.mode: avro`. Dots stay in a full name.
std::string AvroName(std::string_view name);
std::string AvroFullName(std::string_view name);

// `connect` is a struct's schema as JSON. kFailedPrecondition: two of its fields would have the
// same name.
absl::StatusOr<std::string> AvroSchemaOf(const std::string& connect);

}  // namespace pgflow::sinks
