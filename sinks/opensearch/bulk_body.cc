#include "sinks/opensearch/bulk_body.h"

#include <fmt/format.h>

#include "sinks/encoding/integer_text.h"
#include "sinks/encoding/json_string.h"
#include "sinks/opensearch/json_scanner.h"

namespace pgflow::sinks {

BulkTarget::BulkTarget(std::string_view index, bool is_alias, std::string_view pipeline)
    : has_pipeline(!pipeline.empty() && pipeline != kNoPipeline) {
  // Without require_alias a write would create the index that somebody has just deleted.
  const std::string rest = fmt::format(R"(":{{"_index":"{}"{},"version_type":"external_gte")",
                                       index, is_alias ? R"(,"require_alias":true)" : "");
  std::string name;
  if (!pipeline.empty()) {
    name = ",\"pipeline\":";
    AppendJsonString(pipeline, name);
  }
  index_action = R"({"index)" + rest + name + R"(,"version":)";
  delete_action = R"({"delete)" + rest + R"(,"version":)";
}

void BulkBody::AppendAction(std::string_view action, std::string_view id, uint64_t version,
                            std::string_view routing) {
  begin_ = bytes_.size();
  bytes_.append(action);
  AppendDigits(version, bytes_);
  bytes_.append(",\"_id\":");
  AppendJsonString(id, bytes_);
  if (!routing.empty()) {
    bytes_.append(",\"routing\":");
    AppendJsonString(routing, bytes_);
  }
  bytes_.append("}}\n");
}

std::string& BulkBody::BeginIndex(const BulkTarget& target, std::string_view id, uint64_t version,
                                  std::string_view routing) {
  AppendAction(target.index_action, id, version, routing);
  has_pipeline_ = has_pipeline_ || target.has_pipeline;
  return bytes_;
}

void BulkBody::FinishIndex(uint64_t tag) {
  bytes_.push_back('\n');
  items_.push_back({begin_, bytes_.size() - begin_, tag, false});
}

void BulkBody::Delete(const BulkTarget& target, std::string_view id, uint64_t version, uint64_t tag,
                      std::string_view routing) {
  AppendAction(target.delete_action, id, version, routing);
  items_.push_back({begin_, bytes_.size() - begin_, tag, true});
}

void BulkBody::Copy(const BulkBody& other, const Item& item) {
  begin_ = bytes_.size();
  bytes_.append(other.bytes_, item.begin, item.size);
  items_.push_back({begin_, item.size, item.tag, item.is_delete});
  has_pipeline_ = has_pipeline_ || other.has_pipeline_;
}

std::string_view BulkBody::ActionOf(const Item& item) const {
  std::string_view line = std::string_view(bytes_).substr(item.begin, item.size);
  line = line.substr(0, line.find('\n'));
  const size_t begin = line.find(':') + 1;
  return line.substr(begin, line.size() - begin - 1);
}

void BulkBody::CopyAsDeletion(const BulkBody& other, const Item& item) {
  begin_ = bytes_.size();
  char separator = '{';
  bytes_.append("{\"delete\":");
  JsonScanner members(other.ActionOf(item));
  while (members.Next()) {
    if (members.key() == "\"pipeline\"") continue;
    bytes_.push_back(separator);
    separator = ',';
    bytes_.append(members.key()).append(":").append(members.value());
  }
  bytes_.append("}}\n");
  items_.push_back({begin_, bytes_.size() - begin_, item.tag, true});
}

void BulkBody::Clear() {
  bytes_.clear();
  items_.clear();
  has_pipeline_ = false;
}

}  // namespace pgflow::sinks
