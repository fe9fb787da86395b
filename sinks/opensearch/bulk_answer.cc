#include "sinks/opensearch/bulk_answer.h"

#include <charconv>
#include <unordered_map>

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

// What an item's answer says, beside its error.
struct ItemAnswer {
  int status = 0;
  std::string_view error;
  std::string type;  // Of the error.

  explicit ItemAnswer(std::string_view answer)
      : status(ToInt(FindJsonMember(answer, "status"))),
        error(FindJsonMember(answer, "error")),
        type(JsonText(FindJsonMember(error, "type"))) {}

  bool IsDone() const {
    const bool stale = status == 409 && type == "version_conflict_engine_exception";
    const bool nothing_to_delete = status == 404 && error.empty();
    return status < 300 || stale || nothing_to_delete;
  }
};

// Whether it is the pipeline's doing, and what it comes to.
BulkFailure PipelineFailure(size_t item, const ItemAnswer& answer) {
  BulkFailure failure{item, KindOf(answer.status, answer.type), answer.status,
                      ErrorReason(answer.error)};
  // The server gives what a pipeline says of a document the status of a broken server.
  if (answer.type == "fail_processor_exception") failure.kind = BulkFailure::Kind::kRefused;
  if (answer.status == 400 && failure.reason.find("pipeline with id [") != std::string::npos &&
      failure.reason.find("does not exist") != std::string::npos) {
    failure.kind = BulkFailure::Kind::kBroken;
  }
  return failure;
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
    const ItemAnswer answer(action.value());
    if (answer.status < 200) return NoAnswer(body, item_count);
    if (!answer.IsDone()) {
      failures.push_back(
          {count, KindOf(answer.status, answer.type), answer.status, ErrorReason(answer.error)});
    } else if (answer.status == 409 && action.key() == "\"delete\"") {
      failures.push_back({count, BulkFailure::Kind::kStale, answer.status, ""});
    }
    ++count;
  }
  if (!answers.ok() || count != item_count) return NoAnswer(body, item_count);
  return failures;
}

absl::StatusOr<std::vector<BulkFailure>> ReadPipelineAnswer(std::string_view answer,
                                                            const BulkBody& body) {
  const size_t item_count = body.items().size();
  std::unordered_multimap<std::string, size_t> waiting;
  for (size_t i = 0; i < item_count; ++i) {
    waiting.emplace(JsonText(FindJsonMember(body.ActionOf(body.items()[i]), "_id")), i);
  }
  std::vector<BulkFailure> failures;
  if (FindJsonEnd(answer, 0) == std::string_view::npos) return NoAnswer(answer, item_count);
  JsonScanner answers(FindJsonMember(answer, "items"));
  while (answers.Next()) {
    JsonScanner action(answers.value());
    if (!action.Next()) return NoAnswer(answer, item_count);
    const ItemAnswer item(action.value());
    if (item.status < 200) return NoAnswer(answer, item_count);
    const auto found = waiting.find(JsonText(FindJsonMember(action.value(), "_id")));
    if (found == waiting.end()) {
      return absl::FailedPreconditionError(
          "an ingest pipeline gives documents another _id, under which their rows' changes would "
          "not find them; take that out of the pipeline");
    }
    const size_t at = found->second;
    waiting.erase(found);
    if (!item.IsDone()) {
      failures.push_back(PipelineFailure(at, item));
      continue;
    }
    if (body.items()[at].is_delete) continue;
    const std::string_view result = FindJsonMember(action.value(), "result");
    if (result == "\"noop\"") {
      failures.push_back({at, BulkFailure::Kind::kDropped, item.status, ""});
    } else if (item.status < 300 &&
               FindJsonMember(action.value(), "_version") !=
                   FindJsonMember(body.ActionOf(body.items()[at]), "version")) {
      return absl::FailedPreconditionError(
          "an ingest pipeline gives documents another _version, so that their rows' changes would "
          "not be in order; take that out of the pipeline");
    }
  }
  if (!answers.ok() || !waiting.empty()) return NoAnswer(answer, item_count);
  return failures;
}

}  // namespace pgflow::sinks
