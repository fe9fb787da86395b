#include "sinks/kafka/topic_name.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/status.h"

namespace pgflow::sinks {
namespace {

using Part = TopicName::Part;

constexpr size_t kNameBytesMax = 249;
constexpr std::array<std::pair<std::string_view, Part>, 6> kParts = {{{"prefix", Part::kPrefix},
                                                                      {"pipeline", Part::kPipeline},
                                                                      {"sink", Part::kSink},
                                                                      {"schema", Part::kSchema},
                                                                      {"table", Part::kTable},
                                                                      {"column", Part::kColumn}}};

bool IsAllowed(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

absl::Status Invalid(std::string_view text, std::string_view why) {
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "'{}': {}", text, why);
}

}  // namespace

absl::StatusOr<TopicName> TopicName::Parse(std::string_view text) {
  TopicName name;
  std::string_view rest = text;
  while (!rest.empty()) {
    if (rest.front() != '{') {
      const size_t size = std::min(rest.find('{'), rest.size());
      const std::string_view piece = rest.substr(0, size);
      if (!std::ranges::all_of(piece, IsAllowed)) {
        return Invalid(text, "a topic's name has letters, digits, '.', '_' and '-' only");
      }
      name.pieces_.push_back({Part::kText, std::string(piece)});
      rest.remove_prefix(size);
      continue;
    }
    const size_t close = rest.find('}');
    if (close == std::string_view::npos) return Invalid(text, "a brace is not closed");
    const std::string_view word = rest.substr(1, close - 1);
    const auto* const found =
        std::ranges::find(kParts, word, &std::pair<std::string_view, Part>::first);
    if (found == kParts.end()) {
      return Invalid(
          text, "what stands in braces is one of prefix, pipeline, sink, schema, table, column");
    }
    name.pieces_.push_back({found->second, {}});
    rest.remove_prefix(close + 1);
  }
  if (name.pieces_.empty()) return Invalid(text, "a topic needs a name");
  return name;
}

absl::Status TopicName::Check(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax || name == "." || name == "..") {
    return Invalid(name, "a topic's name has 1 to 249 characters");
  }
  if (!std::ranges::all_of(name, IsAllowed)) {
    return Invalid(name, "a topic's name has letters, digits, '.', '_' and '-' only");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> TopicName::Adjust(std::string_view name) {
  std::string adjusted;
  for (const char c : name) adjusted += IsAllowed(c) ? c : '_';
  PGFLOW_RETURN_IF_ERROR(Check(adjusted));
  return adjusted;
}

bool TopicName::has(Part part) const {
  return std::ranges::find(pieces_, part, &Piece::part) != pieces_.end();
}

absl::StatusOr<std::string> TopicName::Expand(const Values& values) const {
  std::string name;
  for (const Piece& piece : pieces_) {
    std::string_view value;
    switch (piece.part) {
      case Part::kText:
        value = piece.text;
        break;
      case Part::kPrefix:
        value = values.prefix;
        break;
      case Part::kPipeline:
        value = values.pipeline;
        break;
      case Part::kSink:
        value = values.sink;
        break;
      case Part::kSchema:
        value = values.schema;
        break;
      case Part::kTable:
        value = values.table;
        break;
      case Part::kColumn:
        value = values.column;
        break;
    }
    for (const char c : value) name += IsAllowed(c) ? c : '_';
  }
  PGFLOW_RETURN_IF_ERROR(Check(name));
  return name;
}

}  // namespace pgflow::sinks
