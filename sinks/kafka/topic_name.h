// TopicName: a template of topics' names. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

namespace pgflow::sinks {

// A value; immutable after Parse.
class TopicName {
 public:
  enum class Part : uint8_t { kText, kPrefix, kPipeline, kSink, kSchema, kTable, kColumn };
  struct Values {
    std::string_view prefix;
    std::string_view pipeline;
    std::string_view sink;
    std::string_view schema;
    std::string_view table;
    std::string_view column;
  };

  // kInvalidArgument: an unknown {part}, an open brace, nothing at all.
  static absl::StatusOr<TopicName> Parse(std::string_view text);
  // kInvalidArgument: not what Kafka allows (1 to 249 of letters, digits, . _ -).
  static absl::Status Check(std::string_view name);

  // A name with _ for the characters that Kafka does not allow. kInvalidArgument as Check.
  static absl::StatusOr<std::string> Adjust(std::string_view name);

  bool has(Part part) const;
  // Characters of values that Kafka does not allow become _. kInvalidArgument as Check.
  absl::StatusOr<std::string> Expand(const Values& values) const;

 private:
  struct Piece {
    Part part = Part::kText;
    std::string text;
  };
  std::vector<Piece> pieces_;
};

}  // namespace pgflow::sinks
