#include "webhooks/signature.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace waybill::webhooks {
namespace {

// The example of the specification's own libraries.
constexpr char kSecret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

TEST(WebhookSignature, IsThatOfTheSpecificationsExample) {
  EXPECT_EQ(
      Sign({kSecret}, "msg_p5jXN8AQM9LWM0D4loKWxJek", absl::FromUnixSeconds(1614265330), R"({"test": 2432232314})"),
      "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

TEST(WebhookSignature, IsMadeWithEachSecretWhileTwoCount) {
  const std::string other = MakeSecret([](size_t bytes) { return std::string(bytes, 'x'); });
  const absl::Time now = absl::FromUnixSeconds(1);
  EXPECT_EQ(Sign({other, kSecret}, "a", now, "b"), Sign({other}, "a", now, "b") + " " + Sign({kSecret}, "a", now, "b"));
}

TEST(WebhookSecret, IsABase64OfThirtyTwoBytesBehindItsPrefix) {
  const std::string secret = MakeSecret([](size_t bytes) { return std::string(bytes, '\xff'); });
  EXPECT_EQ(KeyOf(secret), std::string(32, '\xff'));
  EXPECT_EQ(secret.substr(0, 6), "whsec_");
  for (const char* text : {"", "whsec_", "whsec_*", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
    EXPECT_EQ(KeyOf(text), std::nullopt);
}

}  // namespace
}  // namespace waybill::webhooks
