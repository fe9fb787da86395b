// IndexShape: what an index must look like for one version of a table, and what a change of the
// table means for it. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <nlohmann/json.hpp>

#include "sinks/opensearch/document_encoder.h"
#include "sinks/opensearch/index_meta.h"
#include "sinks/opensearch/index_scan.h"
#include "sinks/opensearch/sink_config.h"

namespace pgflow::sinks {

struct IndexShape {
  DocumentPlan plan;
  nlohmann::json properties;  // Of the mapping, by field.
  IndexMeta meta;
};

// `known_key`: the key's attribute numbers from elsewhere, for a table whose replica identity is
// none. kFailedPrecondition: names collide, or a configured key names no column; or a routing none
// whose old value is known. `origin`: what the index is made from (index_origin.h); null: what the
// options ask for.
absl::StatusOr<IndexShape> MakeIndexShape(const schemas::TableSchema& schema,
                                          const std::vector<int16_t>& known_key,
                                          const OpenSearchSinkConfig& config,
                                          const SearchProduct& product,
                                          const nlohmann::json& origin = nullptr);

// That the columns on both sides of a join are alike, where both tables are there: whole numbers,
// texts, or uuids. kFailedPrecondition: they are not.
absl::Status CheckJoinTypes(const JoinOptions& join, const schemas::TableSchema& parent,
                            const schemas::TableSchema& child);

// kFailedPrecondition: what the stream brought in `change` does not have the value that routes.
absl::Status UnknownRouting(const DocumentPlan& plan, std::string_view change);

// kFailedPrecondition: the table has no key, and so its rows no ids.
absl::Status CheckKey(const DocumentPlan& plan);

// Of a new index for the table, over the `given` ones of the server's templates.
nlohmann::json SettingsOf(const OpenSearchSinkConfig& config, const schemas::TableSchema& schema,
                          const nlohmann::json& given);

struct ShapeChange {
  enum class Kind : uint8_t {
    kNone,
    kAdd,      // The mapping takes it.
    kRemove,   // Some fields are gone; the mapping may keep them.
    kRebuild,  // A mapping cannot take it.
  };

  Kind kind = Kind::kNone;
  nlohmann::json added;  // Properties that the mapping lacks.
  std::string reason;
  FieldEdits edits;
};

// `meta` and `properties`: what the index has. kFailedPrecondition: its documents' ids are made of
// other columns, or their routings.
absl::StatusOr<ShapeChange> CompareShapes(const IndexMeta& meta, const nlohmann::json& properties,
                                          const IndexShape& shape);

}  // namespace pgflow::sinks
