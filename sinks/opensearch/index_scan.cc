#include "sinks/opensearch/index_scan.h"

#include <algorithm>
#include <charconv>

#include "base/status.h"
#include "sinks/opensearch/json_scanner.h"

namespace pgflow::sinks {
namespace {

using nlohmann::json;

constexpr int kPageDocuments = 500;
constexpr std::string_view kKeep = "5m";

struct FoundDocument {
  std::string id;
  uint64_t version = 0;
  std::string_view source;  // Valid within the call.
};
using TakePage = std::function<absl::Status(const std::vector<FoundDocument>&)>;

uint64_t ToNumber(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

absl::Status TakeHits(std::string_view answer, const TakePage& take, size_t& count) {
  const std::string_view hits = FindJsonMember(FindJsonMember(answer, "hits"), "hits");
  std::vector<FoundDocument> page;
  page.reserve(kPageDocuments);
  JsonScanner scanner(hits);
  while (scanner.Next()) {
    page.push_back({JsonText(FindJsonMember(scanner.value(), "_id")),
                    ToNumber(FindJsonMember(scanner.value(), "_version")),
                    FindJsonMember(scanner.value(), "_source")});
  }
  if (!scanner.ok()) return absl::UnavailableError("the answer to a search is cut");
  count = page.size();
  return count == 0 ? absl::OkStatus() : take(page);
}

absl::Status Scan(Cluster& cluster, const std::string& index, bool with_source,
                  const TakePage& take, std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(
      cluster.Call("POST", "/" + index + "/_refresh", std::string(), stop).status());
  PGFLOW_ASSIGN_OR_RETURN(std::string answer,
                          cluster.Call("POST", fmt::format("/{}/_search?scroll={}", index, kKeep),
                                       json{{"size", kPageDocuments},
                                            {"sort", json::array({"_doc"})},
                                            {"version", true},
                                            {"_source", with_source}},
                                       stop));
  std::string scroll;
  while (true) {
    // A page without what some shard has would leave documents out.
    if (FindJsonMember(FindJsonMember(answer, "_shards"), "failed") != "0") {
      return base::MakeStatus(absl::StatusCode::kUnavailable,
                              "index {}: some of its shards cannot be read", index);
    }
    scroll = JsonText(FindJsonMember(answer, "_scroll_id"));
    size_t count = 0;
    PGFLOW_RETURN_IF_ERROR(TakeHits(answer, take, count));
    if (count == 0) break;
    PGFLOW_ASSIGN_OR_RETURN(answer,
                            cluster.Call("POST", "/_search/scroll",
                                         json{{"scroll", kKeep}, {"scroll_id", scroll}}, stop));
  }
  // Gone by itself in minutes when this fails.
  static_cast<void>(
      cluster.Call("DELETE", "/_search/scroll", json{{"scroll_id", scroll}}, stop).status());
  return absl::OkStatus();
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
    for (const auto& [from, to] : edits.renamed) {
      if (members.key() == from) key = to;
    }
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

absl::Status CopyDocuments(Cluster& cluster, const std::string& from, const std::string& to,
                           const FieldEdits& edits, std::stop_token stop) {
  BulkSender sender(cluster, 1);
  const BulkTarget target(to, false);
  const std::string what = fmt::format("copy of index {} to {}", from, to);
  return Scan(
      cluster, from, true,
      [&](const std::vector<FoundDocument>& page) -> absl::Status {
        BulkBody body;
        for (const FoundDocument& document : page) {
          std::string& bytes = body.BeginIndex(target, document.id, document.version);
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
          if (document.version <= version) body.Delete(target, document.id, version, 0);
        }
        if (body.empty()) return absl::OkStatus();
        return SendPage(sender, std::move(body), "removal of documents", stop);
      },
      stop);
}

}  // namespace pgflow::sinks
