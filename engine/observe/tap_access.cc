#include "engine/observe/tap_access.h"

#include <arpa/inet.h>
#include <netinet/in.h>

namespace pgflow::engine {
namespace {

bool IsAddress(const std::string& text) {
  in_addr v4{};
  in6_addr v6{};
  return inet_pton(AF_INET, text.c_str(), &v4) == 1 || inet_pton(AF_INET6, text.c_str(), &v6) == 1;
}

bool IsLoopback(const std::string& text) {
  in_addr v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  if (inet_pton(AF_INET6, text.c_str(), &v6) != 1) return false;
  return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

// "[::1]:9187", "127.0.0.1:9187", "localhost" without the port.
std::string WithoutPort(std::string_view host) {
  if (host.starts_with('[')) return std::string(host.substr(1, host.find(']') - 1));
  return std::string(host.substr(0, host.rfind(':')));
}

}  // namespace

std::optional<std::string> RefuseTap(std::string_view peer, std::string_view host) {
  if (!IsLoopback(std::string(peer))) {
    return "/tap shows the rows themselves: only to programs on the machine that pgflow runs on";
  }
  const std::string name = WithoutPort(host);
  if (name != "localhost" && !IsAddress(name)) {
    return "/tap is asked by an address or as localhost, not by another name";
  }
  return std::nullopt;
}

}  // namespace pgflow::engine
