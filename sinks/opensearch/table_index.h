// TableIndex: a table version's way into its index. Immutable.
#pragma once

#include <memory>
#include <string>

#include "sinks/opensearch/bulk_body.h"
#include "sinks/opensearch/document_encoder.h"

namespace pgflow::sinks {

struct TableIndex {
  std::string name;
  BulkTarget target;
  DocumentPlan plan;
};
using TableIndexPtr = std::shared_ptr<const TableIndex>;

}  // namespace pgflow::sinks
