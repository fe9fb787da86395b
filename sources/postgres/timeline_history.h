// The timelines that a server's log went through before its own: each promotion begins a new one.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string_view>

#include <absl/status/statusor.h>

#include "postgres/client/connection.h"
#include "postgres/types/lsn.h"

namespace pgflow::sources {

// Where the log left `timeline`, from the text of a timeline history file ("1\t0/3000148\treason"
// a line). Nothing when it is not in it.
std::optional<postgres::Lsn> FindTimelineEnd(std::string_view history, uint32_t timeline);

// The same, of the server that `walsender` (a replication connection) leads to and that writes
// `current` now. kNotFound: its log was never on `timeline`.
absl::StatusOr<postgres::Lsn> ReadTimelineEnd(postgres::Connection& walsender, uint32_t current,
                                              uint32_t timeline, std::stop_token stop);

}  // namespace pgflow::sources
