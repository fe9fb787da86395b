#include "sinks/webhook/signature.h"

#include <gtest/gtest.h>

#include "base/status.h"

namespace pgflow::sinks {
namespace {

// From the reference libraries of the Standard Webhooks specification.
constexpr char kSecret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
constexpr char kId[] = "msg_p5jXN8AQM9LWM0D4loKWxJek";
constexpr int64_t kTimestamp = 1614265330;
constexpr char kBody[] = R"({"test": 2432232314})";
constexpr char kSignature[] = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

TEST(SignatureTest, IsThatOfTheSpecification) {
  const absl::StatusOr<Signer> signer = Signer::Make({kSecret});
  ASSERT_TRUE(signer.ok()) << signer.status();
  EXPECT_EQ(signer->Sign(kId, kTimestamp, kBody), kSignature);
}

TEST(SignatureTest, SignsWithEverySecretWhileOneIsReplaced) {
  const std::string other = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
  const absl::StatusOr<Signer> signer = Signer::Make({other, kSecret});
  ASSERT_TRUE(signer.ok()) << signer.status();
  const std::string both = signer->Sign(kId, kTimestamp, kBody);
  const std::string alone = Signer::Make({other})->Sign(kId, kTimestamp, kBody);
  EXPECT_NE(alone, kSignature);
  EXPECT_EQ(both, alone + " " + kSignature);
}

TEST(SignatureTest, DependsOnIdTimeAndBody) {
  const Signer signer = *Signer::Make({kSecret});
  EXPECT_NE(signer.Sign("other", kTimestamp, kBody), kSignature);
  EXPECT_NE(signer.Sign(kId, kTimestamp + 1, kBody), kSignature);
  EXPECT_NE(signer.Sign(kId, kTimestamp, "{}"), kSignature);
}

TEST(SignatureTest, RefusesWhatIsNoSecretWithoutRepeatingIt) {
  for (const char* secret : {"", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_hush!",
                             "whsec_c2hvcnQ=", "whsec_hushhushhush"}) {
    const absl::Status status = Signer::Make({kSecret, secret}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << secret;
    EXPECT_EQ(base::Message(status).find("hush"), std::string_view::npos);
    EXPECT_NE(base::Message(status).find("number 2"), std::string_view::npos);
  }
}

}  // namespace
}  // namespace pgflow::sinks
