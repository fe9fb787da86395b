// IndexOrigin: what of the sink's options an index was made from. The index remembers it, so that
// other options are seen at the next start. Pure.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "schemas/table_schema.h"
#include "sinks/opensearch/field_mapping.h"
#include "sinks/opensearch/index_meta.h"
#include "sinks/opensearch/sink_config.h"

namespace pgflow::sinks {

// What the options ask for now: {"strings", "numerics", "json", "mapping", "settings", "pipeline",
// "routing"}; the last two are absent when there is none. An index adds "template": what a template
// of the server's gave it.
nlohmann::json OriginOf(const OpenSearchSinkConfig& config, const schemas::TableName& table);

// What a new index is made from. `given`: of the server's template (null: none).
nlohmann::json OriginOfNew(const OpenSearchSinkConfig& config, const schemas::TableName& table,
                           const nlohmann::json& given);

// What an index that is there is written by: as the options ask, its documents where they are.
nlohmann::json OriginFor(const OpenSearchSinkConfig& config, const schemas::TableName& table,
                         const IndexMeta& known, const nlohmann::json& given);

MappingChoices ChoicesOf(const nlohmann::json& origin);

// The ingest pipeline that the documents went through; empty: none.
std::string PipelineOf(const nlohmann::json& origin);

// The column by which the documents are routed; empty: by their ids.
std::string RoutingOf(const nlohmann::json& origin);

// Whether an index of `origin` is as the options want it. What the server's templates gave it
// stays: they are for new indices.
bool IsAsWanted(const nlohmann::json& origin, const nlohmann::json& wanted);

// Whether documents or their fields would be others. Settings and templates aside.
bool HasOtherMapping(const nlohmann::json& origin, const nlohmann::json& wanted);

// What to put into the settings of an index of `origin` to get those of `wanted`: null takes one
// away.
nlohmann::json ChangedSettings(const nlohmann::json& origin, const nlohmann::json& wanted);

}  // namespace pgflow::sinks
