// StatementCache: which statements the session has prepared, so that each is parsed once.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include "sinks/postgres/apply_pipeline.h"
#include "sinks/postgres/row_statements.h"

namespace pgflow::sinks {

// One thread; as long as one session. Preparing is queued in the pipeline in front of the first
// use.
class StatementCache {
 public:
  struct Prepared {
    std::string name;
    std::vector<RowParameter> parameters;  // Row statements only.
  };

  // Valid until Clear. Bindings of one layout share a statement.
  absl::StatusOr<const Prepared*> Row(ApplyPipeline& pipeline, const TableBinding& binding,
                                      std::string_view signature);
  absl::StatusOr<const Prepared*> Other(ApplyPipeline& pipeline, const std::string& sql,
                                        std::span<const postgres::Oid> types);

  // Too many: the owner deallocates them all between two windows and clears.
  bool IsFull() const { return row_.size() + other_.size() >= kStatementsMax; }
  void Clear();

 private:
  static constexpr size_t kStatementsMax = 1000;

  // What a statement was prepared from, and nothing that can go away before it.
  struct RowKey {
    uint64_t layout;
    std::string signature;
  };
  struct RowKeyView {
    uint64_t layout;
    std::string_view signature;
  };
  struct RowKeyHash {
    using is_transparent = void;
    template <typename Key>
    size_t operator()(const Key& key) const {
      return std::hash<std::string_view>{}(key.signature) * 31 + std::hash<uint64_t>{}(key.layout);
    }
  };
  struct RowKeyEqual {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return a.layout == b.layout && std::string_view(a.signature) == b.signature;
    }
  };

  std::string NextName() { return "pgflow_" + std::to_string(++next_); }

  uint64_t next_ = 0;
  absl::flat_hash_map<RowKey, std::unique_ptr<Prepared>, RowKeyHash, RowKeyEqual> row_;
  absl::flat_hash_map<std::string, std::unique_ptr<Prepared>> other_;  // By SQL and types.
  std::string other_key_;
};

}  // namespace pgflow::sinks
