// FindResumeLimits: what of an interrupted copy the target does not let go on.
#pragma once

#include <set>
#include <span>
#include <stop_token>
#include <vector>

#include <absl/status/statusor.h>

#include "engine/api/sink.h"
#include "postgres/client/connection.h"
#include "sinks/postgres/sink_config.h"

namespace pgflow::sinks {

// A resumed table holds rows of two snapshots until the stream has caught up. That is right only
// where nothing but the primary key compares rows with each other:
// - a table without a unique index of the primary key, or with another unique index, is started
//   over;
// - tables between which foreign keys are enforced (`replica_role` is false) are copied at one
//   snapshot: a row may refer to one that only a later snapshot saw, and a row that goes takes
//   others along.
// `tables` may be many: the catalog is asked twice, not for each of them.
absl::StatusOr<engine::ResumeLimits> FindResumeLimits(postgres::Connection& connection,
                                                      bool replica_role,
                                                      const PostgresSinkConfig& config,
                                                      std::span<const engine::TablePlan> tables,
                                                      std::stop_token stop);

// The target's tables that foreign keys connect, directly or by others, in groups.
absl::StatusOr<std::vector<std::set<schemas::TableName>>> ReadReferences(
    postgres::Connection& connection, const std::stop_token& stop);

}  // namespace pgflow::sinks
