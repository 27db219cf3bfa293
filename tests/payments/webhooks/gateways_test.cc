#include "payments/webhooks/gateways.h"

#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_directory.h"

namespace waybill::payments {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string WrongIn(std::string_view text) {
  const absl::StatusOr<WebhookGateways> gateways = ParseWebhookGateways(text, "hooks.toml");
  return gateways.ok() ? "" : std::string(gateways.status().message());
}

TEST(WebhookGateways, AreReadWithDefaultsByScheme) {
  const absl::StatusOr<WebhookGateways> gateways = ParseWebhookGateways(R"(
[[gateway]]
name = "acme-1"
scheme = "standard"
secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAAAAAAAAAAAAAA"]
payment_token = "/payment/id"
event_types = ["payment.done"]

[[gateway]]
name = "house"
scheme = "github"
secrets = "a secret of ours"
event_id = ["/kind", "/number"]
exponents = {ISK = 2}
decimal_amounts = true
)",
                                                                        "hooks.toml");
  ASSERT_TRUE(gateways.ok()) << gateways.status();
  const WebhookGateway& acme = gateways->at("acme-1");
  EXPECT_EQ(acme.scheme, Scheme::kStandard);
  EXPECT_EQ(acme.secrets.size(), 2u);
  EXPECT_EQ(acme.payment_token, "/payment/id");
  EXPECT_EQ(acme.payment_key, "/data/idempotency_key") << "as the scheme has it";
  EXPECT_THAT(acme.event_types, ElementsAre("payment.done"));
  EXPECT_THAT(gateways->at("house").event_id, ElementsAre("/kind", "/number"));
  EXPECT_EQ(gateways->at("house").exponents.at("ISK"), 2);
  EXPECT_EQ(Describe(*gateways), "acme-1: standard, 2 secrets; house: github, 1 secret");
}

TEST(WebhookGateways, SayWhereTheyAreWrong) {
  const std::string good = "[[gateway]]\nname = \"a\"\nscheme = \"stripe\"\nsecrets = [\"long enough\"]\n";
  EXPECT_EQ(WrongIn(good), "");
  EXPECT_THAT(WrongIn(good + "colour = 1\n"), StartsWith("hooks.toml:5: colour is no field of a gateway"));
  EXPECT_THAT(WrongIn(good + good), StartsWith("hooks.toml:6: name is another gateway's as well"));
  EXPECT_THAT(WrongIn(good + "payment_key = \"data\"\n"), HasSubstr("payment_key is not a JSON pointer"));
  EXPECT_THAT(WrongIn(good + "event_id = \"header:x-id\"\n"), HasSubstr("what is not signed is no id"));
  EXPECT_THAT(WrongIn(good + "payment_key = \"\"\npayment_token = \"\"\n"), HasSubstr("both empty"));
  EXPECT_THAT(WrongIn(good + "exponents = {XXQ = 2}\n"), HasSubstr("exponents is not a table"));
  EXPECT_THAT(WrongIn("[[gateway]]\nname = \"A b\"\n"), HasSubstr("name is not 1 to 40 of"));
  EXPECT_THAT(WrongIn("[[gateway]]\nname = \"a\"\nscheme = \"md5\"\n"),
              HasSubstr("scheme is none of standard, stripe"));
  EXPECT_THAT(WrongIn("[[gateway]]\nname = \"a\"\nscheme = \"stripe\"\n"), HasSubstr("are missing"));
  EXPECT_THAT(WrongIn("gateway = 3\n"), StartsWith("hooks.toml:1: "));
  EXPECT_THAT(WrongIn("[[other]]\n"), HasSubstr("holds tables [[gateway]] only"));
}

TEST(WebhookGateways, NeverShowASecret) {
  const std::string head = "[[gateway]]\nname = \"a\"\nscheme = \"standard\"\n";
  for (const std::string& wrong :
       {std::string("secrets = [\"whsec_hush*hush\"]\n"), std::string("secrets = [whsec_hush]\n"),
        std::string("secrets = [\"whsec_hush\n"), std::string("secrets = whsec_hush\n"),
        std::string("secrets = [\"whsec_hush\" \"x\"]\n")}) {
    EXPECT_THAT(WrongIn(head + wrong), AllOf(StartsWith("hooks.toml:"), Not(HasSubstr("hush")))) << wrong;
  }
}

TEST(WebhookGateways, ReadSecretsFromFiles) {
  testing::TempDirectory directory;
  const std::string secret = (directory.path() / "secret").string();
  std::ofstream(secret) << "long enough\n";
  const std::string head = "[[gateway]]\nname = \"a\"\nscheme = \"stripe\"\nsecret_files = [\"";
  const absl::StatusOr<WebhookGateways> gateways = ParseWebhookGateways(head + secret + "\"]\n", "hooks.toml");
  ASSERT_TRUE(gateways.ok()) << gateways.status();
  EXPECT_THAT(gateways->at("a").secrets, ElementsAre("long enough"));
  EXPECT_THAT(WrongIn(head + secret + ".not\"]\n"), HasSubstr("secret_files " + secret + ".not cannot be read"));
}

}  // namespace
}  // namespace waybill::payments
