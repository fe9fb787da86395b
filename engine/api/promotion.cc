#include "engine/api/promotion.h"

#include "base/status.h"

namespace pgflow::engine {

absl::Status AnotherServer(const SourceIdentity& found, const SourceIdentity& expected,
                           std::string_view place) {
  const bool promoted = found.system_identifier == expected.system_identifier &&
                        found.database == expected.database && found.timeline > expected.timeline;
  absl::Status status = base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "another server answers at {}: system identifier {} timeline {} database {}, not {} timeline "
      "{} database {}; {}",
      place, found.system_identifier, found.timeline, found.database, expected.system_identifier,
      expected.timeline, expected.database,
      promoted ? "it may lack changes that the old one sent"
               : "it cannot have what follows: lead the url to the right one");
  if (promoted) base::SetPayload(status, kPromotedPayload, "1");
  return status;
}

}  // namespace pgflow::engine
