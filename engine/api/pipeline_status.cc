#include "engine/api/pipeline_status.h"

namespace pgflow::engine {

std::string_view PhaseName(Phase phase) {
  switch (phase) {
    case Phase::kStarting:
      return "starting";
    case Phase::kStandby:
      return "standby";
    case Phase::kSnapshot:
      return "snapshot";
    case Phase::kCatchUp:
      return "catch-up";
    case Phase::kStreaming:
      return "streaming";
    case Phase::kStopping:
      return "stopping";
    case Phase::kFailed:
      return "failed";
  }
  return "unknown";
}

}  // namespace pgflow::engine
