// The sockets of a proxy on 127.0.0.1, for the proxies that tests put between a client and a
// server.
//
// Functions without state; any thread. The caller owns the descriptors. A machine that gives no
// port on its loopback interface ends the test.
#pragma once

#include <optional>
#include <string_view>

namespace pgflow::engine {

struct RelayListener {
  int socket = -1;
  int port = 0;
};
RelayListener ListenOnLoopback();

struct RelayEnds {
  int client = -1;
  int server = -1;
};
// The connection that waits at `listener`, and one to 127.0.0.1:target_port for it. Both send small
// messages at once. Nothing: the server does not accept; the client's is closed.
std::optional<RelayEnds> AcceptFor(int listener, int target_port);

// False: the connection is lost.
bool SendAll(int socket, std::string_view bytes);

}  // namespace pgflow::engine
