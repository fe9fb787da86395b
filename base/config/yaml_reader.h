// ParseYaml: YAML text to Nodes, with references resolved.
//
// In any scalar value, ${NAME} is an environment variable (missing: a problem), ${NAME:-text} one
// with a default, ${file:/path} a file's contents without its last newline, $${ a plain ${. What a
// reference gives is always text: it cannot add keys or lists.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <absl/status/statusor.h>

#include "base/config/node.h"

namespace pgflow::config {

// The value of an environment variable; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
std::optional<std::string> ProcessEnvironment(const std::string& name);

// Syntax errors, duplicate keys and references that lead nowhere go to `problems`; the root is
// null when the text is no YAML at all. `file` is the name to show in messages.
Node ParseYaml(std::string_view text, const std::string& file, Problems& problems,
               const Environment& environment = ProcessEnvironment);

// The same; kInvalidArgument with all problems.
absl::StatusOr<Node> ParseYaml(std::string_view text, const std::string& file);

// kNotFound, kPermissionDenied when the file cannot be read.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

}  // namespace pgflow::config
