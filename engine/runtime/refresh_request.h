// RefreshRequest: what `pgflow refresh` asks of the pipeline that runs with the same state
// directory, and its answer. Both go through the state database, so a pipeline that does not run
// yet gets it when it starts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/source.h"
#include "engine/state/sqlite_database.h"

namespace pgflow::engine {

struct RefreshRequest {
  int64_t id = 0;  // Given by PostRefresh.
  TableSelection selection;
  std::vector<std::string> again;  // Globs of tables to be copied anew.
  bool by_itself = false;          // Nobody asked: the source found tables that are new.
};

// Durable when it returns; gives the request's id. A newer request of a pipeline replaces the
// one before.
absl::StatusOr<int64_t> PostRefresh(const SqliteDatabase& state, const std::string& pipeline,
                                    const RefreshRequest& request);
// The one that waits for an answer, if any.
absl::StatusOr<std::optional<RefreshRequest>> WaitingRefresh(const SqliteDatabase& state,
                                                             const std::string& pipeline);
// An answer is OK (with a message of what is done) or what was wrong.
struct RefreshAnswer {
  bool done = false;
  std::string text;
};
absl::Status AnswerRefresh(const SqliteDatabase& state, int64_t id, const RefreshAnswer& answer);
// Nothing until there is one; takes it away.
absl::StatusOr<std::optional<RefreshAnswer>> TakeRefreshAnswer(const SqliteDatabase& state,
                                                               int64_t id);

}  // namespace pgflow::engine
