// Who may see the values that pass: /tap shows rows, which the other paths do not. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pgflow::engine {

// Why this client may not; nothing when it may. Only programs of this machine: `peer` is their
// address, whatever address the port listens on. `host` is what the request says it asked: a name
// other than localhost is how a web page in a browser of this machine would ask (DNS rebinding).
std::optional<std::string> RefuseTap(std::string_view peer, std::string_view host);

}  // namespace pgflow::engine
