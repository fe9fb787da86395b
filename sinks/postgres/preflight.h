// CheckTarget: what `pgflow check` looks at in the target. Changes nothing.
#pragma once

#include <span>
#include <stop_token>
#include <vector>

#include <absl/status/statusor.h>

#include "engine/api/sink.h"
#include "sinks/postgres/sink_config.h"

namespace pgflow::sinks {

absl::StatusOr<std::vector<engine::Finding>> CheckTarget(
    const PostgresSinkConfig& config, const schemas::DatabaseDefinition& definition,
    std::span<const engine::TablePlan> tables, std::stop_token stop);

}  // namespace pgflow::sinks
