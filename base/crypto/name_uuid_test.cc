#include "base/crypto/name_uuid.h"

#include <gtest/gtest.h>

namespace pgflow::base {
namespace {

TEST(NameUuid, IsJavas) {
  EXPECT_EQ(NameUuid("__debezium_unavailable_value"), "b68a35a7-17ad-35b3-af2a-ae46edb4545a");
  EXPECT_EQ(NameUuid(""), "d41d8cd9-8f00-3204-a980-0998ecf8427e");
}

}  // namespace
}  // namespace pgflow::base
