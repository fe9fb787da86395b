#include "engine/api/chunk.h"

namespace pgflow::engine {

std::string_view OperationName(Operation operation) {
  switch (operation) {
    case Operation::kRead:
      return "read";
    case Operation::kInsert:
      return "insert";
    case Operation::kUpdate:
      return "update";
    case Operation::kDelete:
      return "delete";
    case Operation::kTruncate:
      return "truncate";
    case Operation::kSchemaChange:
      return "schema_change";
  }
  return "unknown";
}

uint32_t Chunk::TableIndex(const schemas::TableSchemaPtr& table) {
  // From the back: the table of the last change is the likeliest.
  for (size_t i = tables.size(); i > 0; --i) {
    if (tables[i - 1] == table) return static_cast<uint32_t>(i - 1);
  }
  tables.push_back(table);
  return static_cast<uint32_t>(tables.size() - 1);
}

}  // namespace pgflow::engine
