// What the admin port answers to a path. Pure; the server only carries it.
#pragma once

#include <string>
#include <string_view>

#include "engine/api/pipeline_status.h"

namespace pgflow::engine {

struct AdminResponse {
  int code = 200;
  std::string content_type;
  std::string body;
};

// GET of /metrics, /health, /ready or /status.
AdminResponse RespondTo(std::string_view path, const StatusFunction& status);

}  // namespace pgflow::engine
