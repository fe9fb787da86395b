// What a scratch server is made of: binaries, a data directory, a port. For the Scratch* classes
// only.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/testing/subprocess.h"

namespace pgflow::engine {

// The directory of `postgres` and `initdb`.
absl::StatusOr<std::string> FindPostgresBinaries();

// The directory of the Java archives of a server of another kind: "kafka", "opensearch".
// kFailedPrecondition: scripts/install-servers did not fetch them.
absl::StatusOr<std::string> FindServerArchives(const std::string& name);

// A new cluster at `data_directory`, copied from a template that initdb makes once a machine.
absl::Status CopyTemplateCluster(const std::string& bin, const RunAs& run_as,
                                 const std::string& data_directory);

// A new directory `prefix`XXXXXX under $TMPDIR (or /tmp) that `run_as` may write.
absl::StatusOr<std::string> MakeScratchDirectory(std::string_view prefix, const RunAs& run_as);

// The last few thousand bytes of a server's log.
std::string TailOfFile(const std::string& path);

// A port of 127.0.0.1 that is free now, below the range that outgoing connections are given.
absl::StatusOr<int> FindFreePort();

// Processes that work in `directory` (a server's all do), and `parent` with its children.
std::vector<pid_t> FindProcesses(const std::string& directory, pid_t parent);

// False for a process that is gone or only waits to be reaped.
bool ProcessLives(pid_t pid);

}  // namespace pgflow::engine
