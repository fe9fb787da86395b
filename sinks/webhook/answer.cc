#include "sinks/webhook/answer.h"

#include <algorithm>
#include <charconv>
#include <map>

#include <nlohmann/json.hpp>

#include "base/status.h"

namespace pgflow::sinks {
namespace {

constexpr size_t kExcerptBytes = 500;
constexpr absl::Duration kRetryAfterMax = absl::Hours(1);

absl::Status UnreadableList(std::string_view why) {
  return base::MakeStatus(absl::StatusCode::kUnavailable,
                          "the list of failed items in its answer cannot be read: {}", why);
}

// Which of `ids` an entry of the list means.
std::optional<size_t> IndexOf(const nlohmann::json& entry, std::span<const std::string> ids) {
  if (const auto index = entry.find("index"); index != entry.end()) {
    if (!index->is_number_unsigned() || index->get<uint64_t>() >= ids.size()) return std::nullopt;
    return index->get<size_t>();
  }
  const auto id = entry.find("id");
  if (id == entry.end() || !id->is_string()) return std::nullopt;
  const auto found = std::ranges::find(ids, id->get_ref<const std::string&>());
  if (found == ids.end()) return std::nullopt;
  return static_cast<size_t>(found - ids.begin());
}

}  // namespace

Verdict VerdictOf(int status) {
  if (status >= 200 && status < 300) return Verdict::kTaken;
  if (status >= 500 || status == 408 || status == 425 || status == 429) return Verdict::kTryAgain;
  switch (status) {
    case 413:
      return Verdict::kTooLarge;
    case 401:
    case 403:
    case 404:
    case 405:
    case 406:
    case 407:
    case 410:
    case 411:
    case 415:
      return Verdict::kMisconfigured;
    default:
      return status >= 400 ? Verdict::kRefused : Verdict::kMisconfigured;
  }
}

std::optional<absl::Duration> RetryAfter(const http::Response& response, absl::Time now) {
  const std::string_view text = response.Header("Retry-After");
  if (text.empty()) return std::nullopt;
  absl::Duration wait;
  uint32_t seconds = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size()) {
    wait = absl::Seconds(seconds);
  } else {
    absl::Time date;
    const std::string copy(text);
    if (!absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", copy, &date, nullptr)) return std::nullopt;
    wait = date - now;
  }
  return std::clamp(wait, absl::ZeroDuration(), kRetryAfterMax);
}

absl::StatusOr<std::vector<FailedItem>> FailedItems(const http::Response& response,
                                                    std::span<const std::string> ids) {
  std::vector<FailedItem> items;
  if (response.Header("Content-Type").find("json") == std::string_view::npos) return items;
  if (response.body_cut) return UnreadableList("the answer is too long");
  const nlohmann::json answer = nlohmann::json::parse(response.body, nullptr, false);
  // What is no JSON has no list: many receivers say "application/json" and send nothing.
  if (!answer.is_object() || !answer.contains("failed")) return items;
  const nlohmann::json& failed = answer["failed"];
  if (failed.is_null()) return items;
  if (!failed.is_array()) return UnreadableList("'failed' is not an array");
  std::map<size_t, FailedItem> by_index;
  for (const nlohmann::json& entry : failed) {
    if (!entry.is_object()) return UnreadableList("an item is not an object");
    const std::optional<size_t> index = IndexOf(entry, ids);
    if (!index.has_value()) {
      return UnreadableList("an item has neither an 'index' nor an 'id' of the request");
    }
    FailedItem item;
    item.index = *index;
    if (const auto error = entry.find("error"); error != entry.end()) {
      item.error = error->is_string() ? error->get<std::string>() : error->dump();
    }
    const auto retry = entry.find("retry");
    item.retry = retry != entry.end() && retry->is_boolean() && retry->get<bool>();
    by_index.emplace(*index, std::move(item));
  }
  items.reserve(by_index.size());
  for (auto& [index, item] : by_index) items.push_back(std::move(item));
  return items;
}

std::string Excerpt(std::string_view body) {
  const bool cut = body.size() > kExcerptBytes;
  std::string text;
  text.reserve(kExcerptBytes + 3);
  for (const char character : body.substr(0, kExcerptBytes)) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte == '\n' || byte == '\r' || byte == '\t') {
      text.push_back(' ');
    } else {
      text.push_back(byte < 0x20 || byte >= 0x7F ? '?' : character);
    }
  }
  if (cut) text += "...";
  return text;
}

}  // namespace pgflow::sinks
