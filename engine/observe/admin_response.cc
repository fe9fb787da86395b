#include "engine/observe/admin_response.h"

#include <fmt/format.h>

#include "engine/observe/metrics.h"
#include "engine/observe/status_json.h"

namespace pgflow::engine {
namespace {

constexpr std::string_view kPlain = "text/plain; charset=utf-8";

AdminResponse Plain(int code, std::string body) {
  return {code, std::string(kPlain), std::move(body) + "\n"};
}

AdminResponse Health(const PipelineStatus& status) {
  if (status.unhealthy) return Plain(503, fmt::format("stalled: {}", status.stalled));
  if (status.phase != Phase::kFailed) return Plain(200, "ok");
  return Plain(503, fmt::format("failed: {}", status.error));
}

AdminResponse Ready(const PipelineStatus& status) {
  if (!status.stalled.empty()) return Plain(503, fmt::format("stalled: {}", status.stalled));
  if (status.phase == Phase::kStreaming) return Plain(200, "ready");
  return Plain(503, fmt::format("not ready: {}", PhaseName(status.phase)));
}

}  // namespace

AdminResponse RespondTo(std::string_view path, const StatusFunction& status, Tap* tap) {
  path = path.substr(0, path.find('?'));
  if (path == "/health") return Health(status());
  if (path == "/ready") return Ready(status());
  if (path == "/status") return {200, "application/json", StatusToJson(status()) + "\n"};
  if (path == "/metrics") {
    return {200, "text/plain; version=0.0.4; charset=utf-8", MetricsText(status())};
  }
  if (path == "/activity" && tap != nullptr) {
    return {200, "application/json", ActivityToJson(tap->Activity()) + "\n"};
  }
  return Plain(404, "not found; there are /metrics /health /ready /status /activity /tap");
}

}  // namespace pgflow::engine
