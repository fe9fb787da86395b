// SchemaIds: the number that a schema registry has for a schema. What an encoder asks that writes
// such numbers; the sink knows the registry.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <absl/status/statusor.h>

namespace pgflow::sinks {

class SchemaIds {
 public:
  virtual ~SchemaIds() = default;
  // May ask the registry, so it may take a while. `schema` is Avro's JSON, `about` says for people
  // what it describes. kFailedPrecondition: the registry refuses it.
  virtual absl::StatusOr<uint32_t> IdOf(const std::string& subject, const std::string& schema,
                                        std::string_view about) = 0;
};

}  // namespace pgflow::sinks
