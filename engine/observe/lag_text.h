// Positions and lag for people: bytes of WAL, or messages where the source is a log of messages.
// Pure, thread-safe.
#pragma once

#include <string>

#include "engine/api/pipeline_status.h"

namespace pgflow::engine {

std::string LagText(const PipelineStatus& status, const SinkStatus& sink);       // 12.3 MiB
std::string PositionText(const PipelineStatus& status, postgres::Lsn position);  // 16/B374D848

}  // namespace pgflow::engine
