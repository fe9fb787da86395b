#include "base/crypto/digest.h"

#include <gtest/gtest.h>

namespace pgflow::base {
namespace {

TEST(DigestTest, KnowsTheVectorsOfTheStandards) {
  EXPECT_EQ(Hex(Sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Hex(Sha256(""), 8), "e3b0c442");
  // RFC 4231, test case 2.
  const Digest digest = HmacSha256("Jefe", "what do ya want for nothing?");
  EXPECT_EQ(Hex(digest), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(Base64(digest), "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
}

}  // namespace
}  // namespace pgflow::base
