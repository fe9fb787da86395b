#include "http/address_policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>

namespace pgflow::http {
namespace {

using Bytes6 = std::array<uint8_t, 16>;

struct Network4 {
  uint32_t address;
  int bits;
};

constexpr Network4 kNotPublic4[] = {
    {0x00000000, 8},   // "This network"; 0.0.0.0 connects to this machine.
    {0x0A000000, 8},   // 10.0.0.0, private.
    {0x64400000, 10},  // 100.64.0.0, carrier-grade NAT.
    {0x7F000000, 8},   // 127.0.0.0, loopback.
    {0xA9FE0000, 16},  // 169.254.0.0, link-local, cloud metadata.
    {0xAC100000, 12},  // 172.16.0.0, private.
    {0xC0000000, 24},  // 192.0.0.0, protocol assignments.
    {0xC0A80000, 16},  // 192.168.0.0, private.
    {0xC6120000, 15},  // 198.18.0.0, benchmarks.
    {0xE0000000, 3},   // 224.0.0.0 and up: multicast, reserved, broadcast.
};

bool IsPublic4(uint32_t address) {
  return std::ranges::none_of(kNotPublic4, [address](const Network4& network) {
    const uint32_t mask = ~uint32_t{0} << (32 - network.bits);
    return (address & mask) == network.address;
  });
}

uint32_t Embedded4(const Bytes6& bytes, size_t offset) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = (value << 8) | bytes[offset + i];
  return value;
}

bool StartsWith(const Bytes6& bytes, std::span<const uint8_t> prefix) {
  return std::equal(prefix.begin(), prefix.end(), bytes.begin());
}

bool IsPublic6(const Bytes6& bytes) {
  constexpr uint8_t kMapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  constexpr uint8_t kCompatible[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};  // :: and ::1 as well.
  constexpr uint8_t kNat64[] = {0x00, 0x64, 0xFF, 0x9B};
  constexpr uint8_t kTeredo[] = {0x20, 0x01, 0x00, 0x00};
  constexpr uint8_t k6to4[] = {0x20, 0x02};
  if (StartsWith(bytes, kMapped)) return IsPublic4(Embedded4(bytes, 12));
  if (StartsWith(bytes, kCompatible)) return IsPublic4(Embedded4(bytes, 12));
  if (StartsWith(bytes, kNat64)) return IsPublic4(Embedded4(bytes, 12));
  if (StartsWith(bytes, k6to4)) return IsPublic4(Embedded4(bytes, 2));
  if (StartsWith(bytes, kTeredo)) return false;
  // Global unicast is 2000::/3: this leaves out unique local (fc00::/7), link-local (fe80::/10),
  // site-local (fec0::/10) and multicast (ff00::/8).
  return (bytes[0] & 0xE0) == 0x20;
}

}  // namespace

bool IsPublicAddress(const sockaddr* address, socklen_t size) {
  if (address->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
    sockaddr_in in{};
    std::memcpy(&in, address, sizeof(in));
    return IsPublic4(ntohl(in.sin_addr.s_addr));
  }
  if (address->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    sockaddr_in6 in{};
    std::memcpy(&in, address, sizeof(in));
    Bytes6 bytes;
    std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
    return IsPublic6(bytes);
  }
  return false;
}

std::string AddressText(const sockaddr* address, socklen_t size) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
    sockaddr_in in{};
    std::memcpy(&in, address, sizeof(in));
    inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text));
  } else if (address->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    sockaddr_in6 in{};
    std::memcpy(&in, address, sizeof(in));
    inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof(text));
  }
  return text[0] == '\0' ? "an unknown address" : text;
}

}  // namespace pgflow::http
