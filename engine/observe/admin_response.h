// What the admin port answers to a path. Pure; the server only carries it.
#pragma once

#include <string>
#include <string_view>

#include "engine/api/pipeline_status.h"
#include "engine/observe/tap.h"

namespace pgflow::engine {

struct AdminResponse {
  int code = 200;
  std::string content_type;
  std::string body;
};

// GET of /metrics, /health, /ready, /status or, unless `tap` is null, /activity.
AdminResponse RespondTo(std::string_view path, const StatusFunction& status, Tap* tap = nullptr);

}  // namespace pgflow::engine
