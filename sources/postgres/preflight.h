// What `pgflow check` looks at on a source server. Changes nothing.
#pragma once

#include <stop_token>
#include <string>

#include <absl/status/statusor.h>

#include "engine/api/source.h"
#include "postgres/client/connection.h"
#include "schemas/table_filter.h"

namespace pgflow::sources {

absl::StatusOr<engine::SourceCheck> CheckSource(postgres::Connection& connection,
                                                const schemas::TableFilter& filter,
                                                const std::string& slot,
                                                const std::string& publication,
                                                std::stop_token stop);

}  // namespace pgflow::sources
