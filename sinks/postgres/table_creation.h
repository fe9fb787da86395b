// CreatePlannedTables: makes the tables of a snapshot that the target lacks, with what they need;
// in two sessions when there are very many: to make one keeps a server's process busy for a
// millisecond.
#pragma once

#include <span>
#include <stop_token>

#include <absl/status/status.h>

#include "engine/api/sink.h"
#include "schemas/table_definition.h"
#include "sinks/postgres/schema_writer.h"
#include "sinks/postgres/target_change.h"

namespace pgflow::sinks {

// Below so many a second session is not worth its while.
inline constexpr size_t kTablesForTwo = 200;

// `second` may be null: then `first` does it all. Both are used until this returns. What the second
// one could not do is done by the first, which reports what is wrong.
absl::Status CreatePlannedTables(TargetChange& first, TargetChange* second,
                                 const schemas::DatabaseDefinition& definition,
                                 std::span<const engine::TablePlan> plans, ProgramTrust trust,
                                 const std::stop_token& stop);

}  // namespace pgflow::sinks
