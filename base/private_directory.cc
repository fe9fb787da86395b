#include "base/private_directory.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/status.h"

namespace pgflow::base {

absl::Status MakePrivateDirectory(const std::string& path) {
  std::filesystem::path made;
  for (const std::filesystem::path& part : std::filesystem::path(path)) {
    made /= part;
    if (::mkdir(made.c_str(), 0700) == 0 || errno == EEXIST) continue;
    std::error_code ignored;
    if (std::filesystem::is_directory(made, ignored)) continue;  // One that may only be passed.
    return MakeStatus(absl::StatusCode::kFailedPrecondition,
                      "directory {}: {}; set state.directory to a writable place", made.string(),
                      std::strerror(errno));
  }
  return absl::OkStatus();
}

}  // namespace pgflow::base
