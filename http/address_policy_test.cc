#include "http/address_policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstring>

#include <gtest/gtest.h>

namespace pgflow::http {
namespace {

bool IsPublic(const char* text) {
  sockaddr_storage storage{};
  sockaddr_in in4{};
  sockaddr_in6 in6{};
  socklen_t size = 0;
  if (inet_pton(AF_INET, text, &in4.sin_addr) == 1) {
    in4.sin_family = AF_INET;
    std::memcpy(&storage, &in4, size = sizeof(in4));
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, text, &in6.sin6_addr), 1) << text;
    in6.sin6_family = AF_INET6;
    std::memcpy(&storage, &in6, size = sizeof(in6));
  }
  EXPECT_NE(AddressText(reinterpret_cast<const sockaddr*>(&storage), size), "an unknown address");
  return IsPublicAddress(reinterpret_cast<const sockaddr*>(&storage), size);
}

TEST(AddressPolicyTest, RefusesWhatOnlyThisMachineOrItsNetworkReaches) {
  for (const char* text : {"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1",
                           "100.127.255.255", "127.0.0.1", "127.255.0.1", "169.254.169.254",
                           "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.168.1.1", "198.18.0.1",
                           "198.19.255.255", "224.0.0.1", "240.0.0.1", "255.255.255.255"}) {
    EXPECT_FALSE(IsPublic(text)) << text;
  }
  for (const char* text :
       {"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "::192.168.0.1", "64:ff9b::10.0.0.1", "2002:7f00:0001::", "2002:c0a8:0101::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1",
        "ff02::1", "4000::1"}) {
    EXPECT_FALSE(IsPublic(text)) << text;
  }
}

TEST(AddressPolicyTest, LetsPublicAddressesPass) {
  for (const char* text :
       {"1.1.1.1",           "8.8.8.8",         "9.255.255.255",  "11.0.0.1",
        "100.63.255.255",    "100.128.0.1",     "128.0.0.1",      "169.253.0.1",
        "169.255.0.1",       "172.15.0.1",      "172.32.0.1",     "192.0.1.1",
        "192.167.0.1",       "192.169.0.1",     "198.17.0.1",     "198.20.0.1",
        "223.255.255.255",   "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
        "2002:0808:0808::1", "2a00:1450::1"}) {
    EXPECT_TRUE(IsPublic(text)) << text;
  }
}

TEST(AddressPolicyTest, RefusesOtherFamilies) {
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  const auto* address = reinterpret_cast<const sockaddr*>(&local);
  EXPECT_FALSE(IsPublicAddress(address, sizeof(local)));
  EXPECT_EQ(AddressText(address, sizeof(local)), "an unknown address");
}

}  // namespace
}  // namespace pgflow::http
