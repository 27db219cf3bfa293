// What the sandbox's gateways sign and say, seen by the receiver's own verifier and reader.
#include "services/sandbox/webhook_sender.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "payments/webhooks/event.h"
#include "payments/webhooks/gateways.h"
#include "tests/support/temp_directory.h"

namespace waybill::sandbox {
namespace {

using payments::Scheme;
using ::testing::HasSubstr;
using ::testing::Not;

class SandboxWebhook : public ::testing::TestWithParam<Scheme> {
 protected:
  WebhookTarget Target(Scheme scheme) {
    const std::string path = (directory_.path() / "secret").string();
    std::ofstream(path) << (scheme == Scheme::kStandard ? "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
                                                        : "a secret of the gateway")
                        << "\n";
    absl::StatusOr<WebhookTarget> target = ReadWebhookTarget({}, scheme, path);
    EXPECT_TRUE(target.ok()) << target.status();
    return target.value_or(WebhookTarget());
  }
  testing::TempDirectory directory_;
};

TEST_P(SandboxWebhook, IsFoundTrueAndReadByTheReceiver) {
  const WebhookTarget target = Target(GetParam());
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  PaymentNews news{PaymentNews::Kind::kApproved, "o/charge_payment", "pi_7", 1250, "EUR"};
  for (const bool wrong : {false, true}) {
    const WebhookMessage message = MakeWebhook(target, news, wrong);
    http::Fields fields = SignWebhook(target, "evt_pi_7", now, message.body);
    fields.insert(fields.end(), message.fields.begin(), message.fields.end());
    const payments::HeaderOf header = [&](std::string_view name) -> std::string_view {
      const auto found = std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.first == name; });
      return found == fields.end() ? std::string_view() : found->second;
    };
    const std::string key = *payments::ParseSecret(GetParam(), target.secret);
    EXPECT_FALSE(payments::Verify(GetParam(), header, message.body, {&key, 1}, now).has_value());
    EXPECT_TRUE(payments::Verify(GetParam(), header, message.body + " ", {&key, 1}, now).has_value());
    payments::WebhookGateway gateway = payments::DefaultsOf(GetParam());
    const payments::Event event = payments::ReadEvent(gateway, header, message.body);
    EXPECT_TRUE(event.problem.empty()) << event.problem;
    EXPECT_TRUE(event.wanted) << event.type;
    EXPECT_EQ(event.token, "pi_7");
    EXPECT_EQ(event.key, gateway.payment_key.empty() ? "" : "o/charge_payment");
    EXPECT_EQ(event.amount_minor, wrong ? 1251 : 1250);
    EXPECT_EQ(event.currency, "EUR");
    EXPECT_THAT(message.body, Not(HasSubstr("secret")));
  }
}

INSTANTIATE_TEST_SUITE_P(EachScheme, SandboxWebhook,
                         ::testing::Values(Scheme::kStandard, Scheme::kStripe, Scheme::kRazorpay, Scheme::kCashfree,
                                           Scheme::kMollie, Scheme::kGithub),
                         [](const auto& scheme) { return std::string(payments::Name(scheme.param)); });

TEST(SandboxWebhookTarget, SaysWhatIsWrongWithItsSecretAndNothingOfIt) {
  testing::TempDirectory directory;
  const std::string path = (directory.path() / "secret").string();
  EXPECT_FALSE(ReadWebhookTarget({}, Scheme::kStandard, path).ok());  // there is none
  std::ofstream(path) << "whsec_not!base64\n";
  const absl::Status wrong = ReadWebhookTarget({}, Scheme::kStandard, path).status();
  EXPECT_THAT(std::string(wrong.message()), HasSubstr(path));
  EXPECT_THAT(std::string(wrong.message()), Not(HasSubstr("not!base64")));
  EXPECT_FALSE(ReadWebhookTarget({}, Scheme::kAdyen, path).ok());
}

}  // namespace
}  // namespace waybill::sandbox
