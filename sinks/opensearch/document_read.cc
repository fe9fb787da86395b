#include "sinks/opensearch/document_read.h"

#include <cstdlib>
#include <string_view>

#include "base/status.h"
#include "sinks/encoding/json_string.h"
#include "sinks/opensearch/bulk_answer.h"
#include "sinks/opensearch/json_scanner.h"

namespace pgflow::sinks {

absl::StatusOr<std::vector<StoredDocument>> ReadDocuments(Cluster& cluster,
                                                          const std::vector<DocumentName>& names,
                                                          std::stop_token stop) {
  std::string body = "{\"docs\":[";
  for (const DocumentName& name : names) {
    if (body.back() == '}') body.push_back(',');
    body += "{\"_index\":\"" + name.index + "\",\"_id\":";
    AppendJsonString(name.id, body);
    if (!name.routing.empty()) {
      body += ",\"routing\":";
      AppendJsonString(name.routing, body);
    }
    body.push_back('}');
  }
  body += "]}";
  PGFLOW_ASSIGN_OR_RETURN(const std::string answer,
                          cluster.Call("POST", "/_mget", std::move(body), std::move(stop)));
  std::vector<StoredDocument> all;
  all.reserve(names.size());
  JsonScanner documents(FindJsonMember(answer, "docs"));
  while (documents.Next() && all.size() < names.size()) {
    const std::string& routing = names[all.size()].routing;
    const std::string_view error = FindJsonMember(documents.value(), "error");
    if (!error.empty()) {
      return base::MakeStatus(absl::StatusCode::kUnavailable, "read of a document: {}",
                              ErrorReason(error));
    }
    StoredDocument& found = all.emplace_back();
    found.found = FindJsonMember(documents.value(), "found") == "true" &&
                  JsonText(FindJsonMember(documents.value(), "_routing")) == routing;
    if (!found.found) continue;
    const std::string version(FindJsonMember(documents.value(), "_version"));
    found.version = std::strtoull(version.c_str(), nullptr, 10);
    found.source = FindJsonMember(documents.value(), "_source");
    if (found.source.empty()) {
      return absl::FailedPreconditionError(
          "an index keeps no _source, without which values that a change does not bring cannot be "
          "kept");
    }
  }
  if (documents.ok() && all.size() == names.size()) return all;
  return absl::UnavailableError("the answer to a read of documents is cut");
}

}  // namespace pgflow::sinks
