// What a role that is no superuser can do for a pipeline, and what a superuser has to run once.
//
// Errors: those of the connection.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "postgres/client/connection.h"
#include "sources/postgres/source_config.h"

namespace pgflow::sources {

struct AdviceSubject {
  std::string pipeline;
  std::string publication;
  const PostgresSourceConfig* config = nullptr;
};

// Three lines, each a sentence for people; none for a superuser.
absl::StatusOr<std::vector<std::string>> AdviseRole(postgres::Connection& connection,
                                                    const AdviceSubject& subject,
                                                    const std::stop_token& stop);

}  // namespace pgflow::sources
