// What was defined anew while the slot's oldest transaction was still running.
//
// A free function over a connection. Errors: those of the connection.
#pragma once

#include <span>
#include <stop_token>
#include <string>

#include <absl/status/statusor.h>

#include "postgres/client/connection.h"

namespace pgflow::sources {

// One of `tables`, or the publication, as an error names it; empty: none. Whatever the slot's
// reader may still look at as it was before counts as changed, so that it is rather one too many.
absl::StatusOr<std::string> FindChangedWhileDecoded(postgres::Connection& connection,
                                                    const std::string& slot,
                                                    const std::string& publication,
                                                    std::span<const postgres::Oid> tables,
                                                    std::stop_token stop);

}  // namespace pgflow::sources
