// What `pgflow check` looks at on a source server. Changes nothing.
#pragma once

#include <stop_token>
#include <string>

#include <absl/status/statusor.h>

#include "engine/api/source.h"
#include "postgres/client/connection.h"
#include "schemas/table_filter.h"
#include "sources/postgres/known_source.h"

namespace pgflow::sources {

struct CheckedSource {
  const schemas::TableFilter* filter = nullptr;
  std::string slot;
  std::string publication;
  KnownSource known;
};

absl::StatusOr<engine::SourceCheck> CheckSource(postgres::Connection& connection,
                                                const CheckedSource& source, std::stop_token stop);

}  // namespace pgflow::sources
