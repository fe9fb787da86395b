#include "sinks/opensearch/bulk_body.h"

#include <fmt/format.h>

#include "sinks/encoding/integer_text.h"
#include "sinks/encoding/json_string.h"

namespace pgflow::sinks {

BulkTarget::BulkTarget(std::string_view index, bool is_alias) {
  // Without require_alias a write would create the index that somebody has just deleted.
  const std::string rest = fmt::format(R"(":{{"_index":"{}"{},"version_type":"external_gte")",
                                       index, is_alias ? R"(,"require_alias":true)" : "");
  index_action = R"({"index)" + rest + R"(,"version":)";
  delete_action = R"({"delete)" + rest + R"(,"version":)";
}

void BulkBody::AppendAction(std::string_view action, std::string_view id, uint64_t version) {
  begin_ = bytes_.size();
  bytes_.append(action);
  AppendDigits(version, bytes_);
  bytes_.append(",\"_id\":");
  AppendJsonString(id, bytes_);
  bytes_.append("}}\n");
}

std::string& BulkBody::BeginIndex(const BulkTarget& target, std::string_view id, uint64_t version) {
  AppendAction(target.index_action, id, version);
  return bytes_;
}

void BulkBody::FinishIndex(uint64_t tag) {
  bytes_.push_back('\n');
  items_.push_back({begin_, bytes_.size() - begin_, tag, false});
}

void BulkBody::Delete(const BulkTarget& target, std::string_view id, uint64_t version,
                      uint64_t tag) {
  AppendAction(target.delete_action, id, version);
  items_.push_back({begin_, bytes_.size() - begin_, tag, true});
}

void BulkBody::Copy(const BulkBody& other, const Item& item) {
  begin_ = bytes_.size();
  bytes_.append(other.bytes_, item.begin, item.size);
  items_.push_back({begin_, item.size, item.tag, item.is_delete});
}

void BulkBody::Clear() {
  bytes_.clear();
  items_.clear();
}

}  // namespace pgflow::sinks
