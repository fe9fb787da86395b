#include "tests/integration/search_watch.h"

#include <algorithm>
#include <utility>

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace pgflow::tests {

using nlohmann::json;

namespace {

constexpr uint64_t kLooksPerWhole = 20;

}  // namespace

SearchWatch::SearchWatch(const engine::ScratchOpenSearch& server, std::string index,
                         Options options)
    : server_(server), index_(std::move(index)), options_(options) {
  thread_ = std::jthread([this](std::stop_token stop) {
    // Both servers and pgflow share the machine with it.
    for (; !stop.stop_requested(); absl::SleepFor(absl::Milliseconds(10))) Look();
  });
}

std::string SearchWatch::problem() const {
  base::MutexLock lock(&mutex_);
  return problem_;
}

void SearchWatch::Note(const std::string& problem) {
  base::MutexLock lock(&mutex_);
  if (problem_.size() < 2000) problem_ += fmt::format("search {}: {}\n", searches_.load(), problem);
}

void SearchWatch::Look() {
  // Each document is looked at now and then: it takes far longer than to count them.
  const bool whole = options_.ids && looks_++ % kLooksPerWhole == 0;
  const auto answer = server_.Request(
      "POST", "/" + index_ + "/_search",
      fmt::format(R"({{"size":{},"track_total_hits":true,"_source":false,"docvalue_fields":["n"],)"
                  R"("sort":["_doc"],"aggs":{{"n":{{"sum":{{"field":"n"}}}}}}}})",
                  whole ? 10000 : 0));
  if (!answer.ok()) {
    const std::string text(answer.status().message());
    const bool away = text.find("index_not_found") == std::string::npos;
    // The test's server has a small heap: it says so, and nothing of the index.
    if (text.find("circuit_breaking_exception") != std::string::npos) return;
    if (!options_.patient || !away) Note(text.substr(0, 300));
    return;
  }
  const json parsed = json::parse(*answer, nullptr, false);
  const bool all_shards = parsed.is_object() && parsed["_shards"].value("failed", 1) == 0 &&
                          parsed["_shards"].value("successful", 0) > 0;
  if (!all_shards) {
    if (!options_.patient) Note("shards failed: " + answer->substr(0, 300));
    return;
  }
  ++searches_;
  const uint64_t total = parsed["hits"]["total"].value("value", uint64_t{0});
  most_ = std::max(most_, expected_.load());
  if (total < most_) Note(fmt::format("{} documents, not {}", total, most_));
  most_ = std::max(most_, total);
  // An older document, or one that is another's, makes it less.
  const double sum = parsed["aggregations"]["n"].value("value", 0.0);
  if (sum < sum_) Note(fmt::format("the sum of n is {}, not {}", sum, sum_));
  sum_ = std::max(sum_, sum);
  if (whole) LookAtEach(parsed["hits"]["hits"]);
}

void SearchWatch::LookAtEach(const json& hits) {
  std::map<std::string, int64_t> found;
  for (const json& hit : hits) {
    found[hit["_id"].get<std::string>()] = hit["fields"]["n"][0].get<int64_t>();
  }
  for (const auto& [id, n] : seen_) {
    const auto now = found.find(id);
    if (now == found.end()) {
      Note(fmt::format("document {} is not found any more", id));
    } else if (now->second < n) {
      Note(fmt::format("document {} is older: n = {}, not {}", id, now->second, n));
    }
  }
  seen_ = std::move(found);
}

std::string IndexBehind(const engine::ScratchOpenSearch& server, const std::string& name) {
  const auto answer = server.Request("GET", "/" + name + "/_alias");
  if (!answer.ok()) return "";
  const json parsed = json::parse(*answer, nullptr, false);
  return parsed.is_object() && parsed.size() == 1 ? parsed.begin().key() : "";
}

}  // namespace pgflow::tests
