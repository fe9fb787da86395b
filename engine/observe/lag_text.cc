#include "engine/observe/lag_text.h"

#include <fmt/format.h>

#include "engine/observe/format.h"

namespace pgflow::engine {

std::string LagText(const PipelineStatus& status, const SinkStatus& sink) {
  if (!status.counts_messages) return FormatBytes(sink.lag_bytes);
  return fmt::format("{} message{}", FormatCount(sink.lag_bytes), sink.lag_bytes == 1 ? "" : "s");
}

std::string PositionText(const PipelineStatus& status, postgres::Lsn position) {
  return status.counts_messages ? FormatCount(position.value()) : position.ToString();
}

}  // namespace pgflow::engine
