// BulkBody: the body of one _bulk request, with what is needed to send parts of it again.
//
// A value that one thread owns. Version: external_gte, so that a write comes through unless the
// document (or its deletion) has a later one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgflow::sinks {

// Where documents go: the beginnings of their action lines.
struct BulkTarget {
  // `pipeline`: the ingest pipeline; empty: what the index's settings say, kNoPipeline: none at
  // all.
  explicit BulkTarget(std::string_view index, bool is_alias, std::string_view pipeline = {});

  std::string index_action;
  std::string delete_action;
  bool has_pipeline = false;
};

inline constexpr std::string_view kNoPipeline = "_none";

class BulkBody {
 public:
  struct Item {
    size_t begin = 0;
    size_t size = 0;
    uint64_t tag = 0;  // The caller's.
    bool is_delete = false;
  };

  // The caller appends the document to what this returns, without line breaks, and calls
  // FinishIndex.
  // `routing`: empty: the id routes.
  std::string& BeginIndex(const BulkTarget& target, std::string_view id, uint64_t version,
                          std::string_view routing = {});
  void FinishIndex(uint64_t tag);
  // Takes back what BeginIndex began.
  void DropIndex() { bytes_.resize(begin_); }
  void Delete(const BulkTarget& target, std::string_view id, uint64_t version, uint64_t tag,
              std::string_view routing = {});
  // An item of another body; of the second, the deletion of the document in place of its writing.
  void Copy(const BulkBody& other, const Item& item);
  void CopyAsDeletion(const BulkBody& other, const Item& item);
  void Clear();

  const std::string& bytes() const { return bytes_; }
  const std::vector<Item>& items() const { return items_; }
  bool empty() const { return items_.empty(); }
  // The answer may have another order, and all its documents are of one index.
  bool has_pipeline() const { return has_pipeline_; }
  // The action of an item: {"_index":...,"version":...,"_id":...}.
  std::string_view ActionOf(const Item& item) const;

 private:
  void AppendAction(std::string_view action, std::string_view id, uint64_t version,
                    std::string_view routing);

  std::string bytes_;
  std::vector<Item> items_;
  size_t begin_ = 0;
  bool has_pipeline_ = false;
};

}  // namespace pgflow::sinks
