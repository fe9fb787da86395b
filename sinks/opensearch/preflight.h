// What `pgflow check` finds out about a search cluster before anything runs. Changes nothing.
#pragma once

#include <span>
#include <stop_token>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/sink.h"
#include "sinks/opensearch/cluster.h"
#include "sinks/opensearch/sink_config.h"

namespace pgflow::sinks {

// That the joins fit those of their tables that are there. kFailedPrecondition: one does not.
absl::Status CheckJoins(const OpenSearchSinkConfig& config,
                        std::span<const engine::TablePlan> tables);

// An error: the cluster does not answer.
absl::StatusOr<std::vector<engine::Finding>> CheckSearchTarget(
    const OpenSearchSinkConfig& config, Cluster& cluster, std::span<const engine::TablePlan> tables,
    std::stop_token stop);

}  // namespace pgflow::sinks
