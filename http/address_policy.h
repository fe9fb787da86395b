// AddressPolicy: which addresses a client may connect to, judged after the name was resolved, so
// that a name whose answer changes (DNS rebinding) gains nothing.
#pragma once

#include <sys/socket.h>

#include <string>

namespace pgflow::http {

enum class AddressPolicy {
  kAny,
  kPublicOnly,  // Nothing that only this machine, its network or its cloud provider can reach.
};

// False for loopback, private (RFC 1918, shared 100.64/10, unique local), link-local (the cloud's
// metadata at 169.254.169.254 too), multicast, reserved and unspecified addresses, for IPv6
// addresses that stand for such an IPv4 address (mapped, compatible, NAT64, 6to4), for Teredo, and
// for everything that is not IPv4 or IPv6.
bool IsPublicAddress(const sockaddr* address, socklen_t size);

// "127.0.0.1", "::1"; "an unknown address" for other families.
std::string AddressText(const sockaddr* address, socklen_t size);

}  // namespace pgflow::http
