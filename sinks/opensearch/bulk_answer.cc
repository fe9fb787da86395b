#include "sinks/opensearch/bulk_answer.h"

#include <charconv>

#include "base/status.h"
#include "sinks/opensearch/json_scanner.h"

namespace pgflow::sinks {
namespace {

constexpr size_t kShownBytesMax = 500;

int ToInt(std::string_view text) {
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

absl::Status NoAnswer(std::string_view body, size_t item_count) {
  return base::MakeStatus(absl::StatusCode::kUnavailable,
                          "the answer is none for a bulk of {} items: {}", item_count,
                          body.empty() ? "it is empty" : body.substr(0, kShownBytesMax));
}

// The common answer, item after item {"index":{"status":200}}, without looking into each.
bool IsAllDone(std::string_view body, size_t item_count) {
  if (!body.starts_with(R"({"errors":false,"items":[)") || !body.ends_with("]}")) return false;
  size_t count = 0;
  for (size_t at = body.find("\"status\":2"); at != std::string_view::npos;
       at = body.find("\"status\":2", at + 10)) {
    ++count;
  }
  return count == item_count;
}

BulkFailure::Kind KindOf(int status, std::string_view type) {
  if (status == 429 || status >= 500) return BulkFailure::Kind::kLater;
  if (type == "cluster_block_exception" || type == "unavailable_shards_exception") {
    return BulkFailure::Kind::kLater;
  }
  return status == 400 || status == 413 ? BulkFailure::Kind::kRefused : BulkFailure::Kind::kBroken;
}

}  // namespace

std::string ErrorReason(std::string_view error) {
  const std::string type = JsonText(FindJsonMember(error, "type"));
  if (type.empty()) return std::string(error.substr(0, kShownBytesMax));
  std::string text = type + ": " + JsonText(FindJsonMember(error, "reason"));
  std::string_view cause = error;
  for (int depth = 0; depth < 10; ++depth) {
    const std::string_view inner = FindJsonMember(cause, "caused_by");
    if (inner.empty()) break;
    cause = inner;
  }
  if (cause != error) text += " (" + JsonText(FindJsonMember(cause, "reason")) + ")";
  return text.substr(0, 2 * kShownBytesMax);
}

absl::StatusOr<std::vector<BulkFailure>> ReadBulkAnswer(std::string_view body, size_t item_count) {
  std::vector<BulkFailure> failures;
  if (IsAllDone(body, item_count)) return failures;
  if (FindJsonEnd(body, 0) == std::string_view::npos) return NoAnswer(body, item_count);
  const std::string_view items = FindJsonMember(body, "items");
  JsonScanner answers(items);
  size_t count = 0;
  while (answers.Next()) {
    JsonScanner action(answers.value());
    if (!action.Next()) return NoAnswer(body, item_count);
    const int status = ToInt(FindJsonMember(action.value(), "status"));
    if (status < 200) return NoAnswer(body, item_count);
    const std::string_view error = FindJsonMember(action.value(), "error");
    const std::string type = JsonText(FindJsonMember(error, "type"));
    const bool stale = status == 409 && type == "version_conflict_engine_exception";
    const bool nothing_to_delete = status == 404 && error.empty();
    if (status >= 300 && !stale && !nothing_to_delete) {
      failures.push_back({count, KindOf(status, type), status, ErrorReason(error)});
    }
    ++count;
  }
  if (!answers.ok() || count != item_count) return NoAnswer(body, item_count);
  return failures;
}

}  // namespace pgflow::sinks
