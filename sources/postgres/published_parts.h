// What a publication that the user made leaves out: rows, columns, partitions' names.
//
// Free functions over a connection. Errors: those of the connection.
#pragma once

#include <stop_token>
#include <string>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "postgres/client/connection.h"
#include "schemas/catalog.h"

namespace pgflow::sources {

// Empty when the publication carries all of its tables as they are, or does not exist.
absl::StatusOr<schemas::PublishedParts> ReadPublishedParts(postgres::Connection& connection,
                                                           const std::string& publication,
                                                           std::stop_token stop);

// The DDL capture knows tables as they are: kFailedPrecondition when `parts` are not.
absl::Status RefuseDdlOfParts(const schemas::PublishedParts& parts, const std::string& publication);

}  // namespace pgflow::sources
