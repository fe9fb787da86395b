// BuildGroup: a pipeline file whose source is shared by several processes, as what runs here.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <absl/status/statusor.h>

#include "engine/runtime/group_runner.h"
#include "engine/topology/pipeline_builder.h"

namespace pgflow::engine {

// Null: the source has its log for itself.
std::unique_ptr<SourceGroup> GroupOf(Source& source);

// `group` is of the parts' source; `again` makes the same parts anew, for each part of the log.
// Every process takes a directory of its own inside of the state directory and holds it as long as
// the runner lives; what is in it is of use to nobody else. kFailedPrecondition: there is no place
// for it.
absl::StatusOr<std::unique_ptr<GroupRunner>> BuildGroup(
    const PipelineParts& parts, std::unique_ptr<SourceGroup> group,
    std::function<std::optional<PipelineParts>()> again);

}  // namespace pgflow::engine
