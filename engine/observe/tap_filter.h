// TapFilter: which changes a watcher asked for. Constant once made; thread-safe.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "engine/api/batch.h"

namespace pgflow::engine {

struct TapFilter {
  std::vector<std::string> tables;  // Patterns of schema.name with * and ?; empty: all.
  std::set<Operation> operations;   // Empty: all.
  std::string sink;                 // Empty: the pipeline's first.
  uint64_t limit = 0;               // Changes after which the watcher leaves; 0: none.

  // From a URL's query: tables=public.orders,sales.*&operations=insert&sink=NAME&limit=10.
  // kInvalidArgument names what is wrong.
  static absl::StatusOr<TapFilter> FromQuery(std::string_view query);
  std::string ToQuery() const;
  // For a value of a query.
  static std::string Escape(std::string_view text);

  bool WantsTable(const schemas::TableName& table) const;
  bool WantsOperation(Operation operation) const {
    return operations.empty() || operations.contains(operation);
  }
  bool Wants(const ChangeEvent& event) const {
    return WantsOperation(event.operation) && WantsTable(event.schema->table);
  }
  // How many of its changes. Rows of a snapshot that nobody has indexed stay so.
  uint64_t CountIn(Batch& batch) const;
};

}  // namespace pgflow::engine
