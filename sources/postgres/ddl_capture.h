// The DDL capture: event triggers in the source that write what each command changed to the log.
//
// The SQL is ddl_capture/. Errors: those of the connection; kPermissionDenied when the role may
// not create event triggers (only a superuser may).
#pragma once

#include <stop_token>
#include <string>
#include <string_view>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/preflight.h"
#include "postgres/client/connection.h"
#include "schemas/table_filter.h"

namespace pgflow::sources {

// Prefixes of the capture's logical messages.
inline constexpr std::string_view kDdlPrefix = "pgflow.ddl";
inline constexpr std::string_view kRowsPrefix = "pgflow.rows";

// Whose new tables the capture adds to which publication.
struct CapturedPipeline {
  std::string name;
  std::string publication;
  const schemas::TableFilter* filter = nullptr;
};

enum class CaptureState {
  kMissing,  // Or it does not know the pipeline.
  // It knows the pipeline, but:
  kDisabled,        // Its event triggers do not fire always, or are gone.
  kOtherVersion,    // It is another pgflow's.
  kClosed,          // This role may not read its secret.
  kOtherSelection,  // The pipeline had other tables.
  kCurrent,
};

absl::StatusOr<CaptureState> ReadCaptureState(postgres::Connection& connection,
                                              const CapturedPipeline& pipeline,
                                              const std::stop_token& stop);
// Makes it, or replaces one that is kDisabled or kOtherVersion. True: nobody else did anything
// meanwhile, and SettleCapture would find nothing. With `second_session` another one shares the
// work. Only where no slot brings what the triggers write meanwhile: they take for new what has no
// state yet.
absl::StatusOr<bool> InstallCapture(postgres::Connection& connection,
                                    const CapturedPipeline& pipeline,
                                    const postgres::ConnectOptions* second_session,
                                    const std::stop_token& stop);
// Tells a capture that is there which tables the pipeline has now.
absl::Status UpdateCapture(postgres::Connection& connection, const CapturedPipeline& pipeline,
                           const std::stop_token& stop);
// Whether a table that the pipeline chooses is not in its publication, as far as the capture knows.
absl::StatusOr<bool> MissesChosenTables(postgres::Connection& connection,
                                        const CapturedPipeline& pipeline,
                                        const std::stop_token& stop);
// What its messages begin with.
absl::StatusOr<std::string> ReadCaptureSecret(postgres::Connection& connection,
                                              const std::stop_token& stop);
// What a role that is no superuser must have done first. OK when the state does not stop it.
absl::Status CaptureObstacle(CaptureState state);
absl::StatusOr<bool> MayMakeCapture(postgres::Connection& connection, const std::stop_token& stop);
// Whether it is there, or can be made by this role.
absl::StatusOr<engine::Finding> CheckCapture(postgres::Connection& connection,
                                             const CapturedPipeline& pipeline,
                                             const std::stop_token& stop);
// Waits for the transactions that began before it was there, and stores what they changed.
absl::Status SettleCapture(postgres::Connection& connection, const std::stop_token& stop);
// Forgets the pipeline; the last one takes the capture along. OK when there was none.
absl::Status RemoveCapture(postgres::Connection& connection, const std::string& pipeline,
                           const std::stop_token& stop);

}  // namespace pgflow::sources
