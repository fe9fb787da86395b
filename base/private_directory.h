// Where pgflow keeps rows and places: nobody but its user may look.
#pragma once

#include <string>

#include <absl/status/status.h>

namespace pgflow::base {

// Makes what is missing of it, each with mode 0700; a directory that is there stays as it is.
// kFailedPrecondition, naming the path.
absl::Status MakePrivateDirectory(const std::string& path);

}  // namespace pgflow::base
