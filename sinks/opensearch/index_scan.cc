#include "sinks/opensearch/index_scan.h"

#include <algorithm>
#include <charconv>

#include "base/status.h"
#include "sinks/opensearch/json_scanner.h"

namespace pgflow::sinks {
namespace {

using nlohmann::json;

constexpr size_t kPageDocuments = 500;
constexpr std::string_view kKeep = "5m";

uint64_t ToNumber(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// A page without what some shard has would leave documents out.
absl::Status CheckShards(const std::string& index, std::string_view answer) {
  if (FindJsonMember(FindJsonMember(answer, "_shards"), "failed") == "0") return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kUnavailable,
                          "index {}: some of its shards cannot be read", index);
}

absl::StatusOr<std::vector<FoundDocument>> ReadHits(std::string_view answer) {
  const std::string_view hits = FindJsonMember(FindJsonMember(answer, "hits"), "hits");
  std::vector<FoundDocument> page;
  page.reserve(kPageDocuments);
  JsonScanner scanner(hits);
  while (scanner.Next()) {
    page.push_back({JsonText(FindJsonMember(scanner.value(), "_id")),
                    JsonText(FindJsonMember(scanner.value(), "_routing")),
                    ToNumber(FindJsonMember(scanner.value(), "_version")),
                    FindJsonMember(scanner.value(), "_source")});
  }
  if (!scanner.ok()) return absl::UnavailableError("the answer to a search is cut");
  return page;
}

// A server that was started again knows no scroll of before.
absl::StatusOr<std::string> NextPage(Cluster& cluster, const std::string& index,
                                     const std::string& scroll, std::stop_token stop) {
  absl::StatusOr<std::string> page = cluster.Call(
      "POST", "/_search/scroll", json{{"scroll", kKeep}, {"scroll_id", scroll}}, std::move(stop));
  if (!absl::IsNotFound(page.status())) return page;
  return base::MakeStatus(absl::StatusCode::kAborted,
                          "index {}: the server forgot where it was: {}", index,
                          base::Message(page.status()));
}

absl::Status Scroll(Cluster& cluster, const std::string& index, const json& request,
                    const TakeDocuments& take, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      std::string answer,
      cluster.Call("POST", fmt::format("/{}/_search?scroll={}", index, kKeep), request, stop));
  std::string scroll;
  while (true) {
    PGFLOW_RETURN_IF_ERROR(CheckShards(index, answer));
    scroll = JsonText(FindJsonMember(answer, "_scroll_id"));
    PGFLOW_ASSIGN_OR_RETURN(const std::vector<FoundDocument> page, ReadHits(answer));
    if (page.empty()) break;
    PGFLOW_RETURN_IF_ERROR(take(page));
    PGFLOW_ASSIGN_OR_RETURN(answer, NextPage(cluster, index, scroll, stop));
  }
  // Gone by itself in minutes when this fails.
  static_cast<void>(
      cluster.Call("DELETE", "/_search/scroll", json{{"scroll_id", scroll}}, stop).status());
  return absl::OkStatus();
}

absl::Status Scan(Cluster& cluster, const std::string& index, bool with_source,
                  const TakeDocuments& take, std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(RefreshIndex(cluster, index, stop));
  return SearchDocuments(cluster, index, {{"match_all", json::object()}}, with_source, take,
                         std::move(stop));
}

absl::Status AppendEdited(std::string_view source, const FieldEdits& edits, std::string& out) {
  if (edits.empty()) {
    out.append(source);
    return absl::OkStatus();
  }
  char separator = '{';
  bool has_added = false;
  JsonScanner members(source);
  while (members.Next()) {
    if (std::ranges::find(edits.removed, members.key()) != edits.removed.end()) continue;
    std::string_view key = members.key();
    bool taken = false;  // The name is another field's from now on.
    for (const auto& [from, to] : edits.renamed) {
      if (members.key() == from) key = to;
      taken = taken || members.key() == to;
    }
    if (taken && key == members.key()) continue;
    has_added = has_added || (!edits.added.empty() && key == edits.added[0].first);
    const char first = members.value().empty() ? 'n' : members.value().front();
    const bool quoted = first != '"' && first != 'n' && first != '[' && first != '{' &&
                        std::ranges::find(edits.texts, members.key()) != edits.texts.end();
    out.push_back(separator);
    separator = ',';
    out.append(key).push_back(':');
    if (quoted) out.push_back('"');
    out.append(members.value());
    if (quoted) out.push_back('"');
  }
  if (!members.ok()) return absl::DataLossError("a document's source is malformed");
  // A document has all of the new fields, or none.
  for (size_t i = 0; !has_added && i < edits.added.size(); ++i) {
    out.push_back(separator);
    separator = ',';
    out.append(edits.added[i].first).append(":").append(edits.added[i].second);
  }
  if (separator == '{') out.push_back('{');
  out.push_back('}');
  return absl::OkStatus();
}

absl::Status SendPage(BulkSender& sender, BulkBody body, std::string_view what,
                      std::stop_token stop) {
  std::vector<BulkBody> bodies;
  bodies.push_back(std::move(body));
  PGFLOW_ASSIGN_OR_RETURN(
      const std::vector<RefusedItem> refused,
      sender.Send(std::move(bodies), BulkSender::Visibility::kLater, std::move(stop)));
  if (refused.empty()) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "{}: {}", what,
                          refused.front().reason);
}

}  // namespace

absl::Status RefreshIndex(Cluster& cluster, const std::string& index, std::stop_token stop) {
  return cluster.Call("POST", "/" + index + "/_refresh", std::string(), std::move(stop)).status();
}

absl::Status SearchDocuments(Cluster& cluster, const std::string& index, const json& query,
                             bool with_source, const TakeDocuments& take, std::stop_token stop) {
  const json request = {{"query", query},
                        {"size", kPageDocuments},
                        {"sort", json::array({"_doc"})},
                        {"version", true},
                        {"_source", with_source}};
  {
    // A single page needs no scroll.
    PGFLOW_ASSIGN_OR_RETURN(const std::string answer,
                            cluster.Call("POST", "/" + index + "/_search", request, stop));
    PGFLOW_RETURN_IF_ERROR(CheckShards(index, answer));
    PGFLOW_ASSIGN_OR_RETURN(const std::vector<FoundDocument> page, ReadHits(answer));
    if (page.size() < kPageDocuments) return page.empty() ? absl::OkStatus() : take(page);
  }
  return Scroll(cluster, index, request, take, std::move(stop));
}

absl::Status CopyDocuments(Cluster& cluster, const std::string& from, const std::string& to,
                           const FieldEdits& edits, std::stop_token stop) {
  BulkSender sender(cluster, 1);
  // They went through what there is to go through.
  const BulkTarget target(to, false, kNoPipeline);
  const std::string what = fmt::format("copy of index {} to {}", from, to);
  return Scan(
      cluster, from, true,
      [&](const std::vector<FoundDocument>& page) -> absl::Status {
        BulkBody body;
        for (const FoundDocument& document : page) {
          std::string& bytes =
              body.BeginIndex(target, document.id, document.version, document.routing);
          PGFLOW_RETURN_IF_ERROR(AppendEdited(document.source, edits, bytes));
          body.FinishIndex(0);
        }
        return SendPage(sender, std::move(body), what, stop);
      },
      stop);
}

absl::Status DeleteDocuments(Cluster& cluster, const std::string& index, const BulkTarget& target,
                             uint64_t version, std::stop_token stop) {
  BulkSender sender(cluster, 1);
  return Scan(
      cluster, index, false,
      [&](const std::vector<FoundDocument>& page) {
        BulkBody body;
        for (const FoundDocument& document : page) {
          if (document.version > version) continue;
          body.Delete(target, document.id, version, 0, document.routing);
        }
        if (body.empty()) return absl::OkStatus();
        return SendPage(sender, std::move(body), "removal of documents", stop);
      },
      stop);
}

}  // namespace pgflow::sinks
