// Signatures of webhooks, by the vectors that the schemes' owners publish, and by others made with another HMAC.
#include "payments/webhooks/signature.h"

#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace waybill::payments {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kBody[] = R"({"type":"payment.succeeded","data":{"amount":1.00}})";
constexpr int64_t kSignedAt = 1764374400;
const absl::Time kNow = absl::FromUnixSeconds(kSignedAt);

using Headers = std::map<std::string, std::string>;

struct Sent {
  Scheme scheme;
  Headers headers;
  std::string secret;  // as it is configured
  std::string body = kBody;
  absl::Time now = kNow;
  std::vector<std::string> more_secrets = {};  // before it

  std::optional<Refusal> Verified() const {
    std::vector<std::string> secrets;
    for (const std::string& text : more_secrets) secrets.push_back(*ParseSecret(scheme, text));
    secrets.push_back(*ParseSecret(scheme, secret));
    const HeaderOf header = [this](std::string_view name) -> std::string_view {
      const auto found = headers.find(std::string(name));
      return found == headers.end() ? std::string_view() : std::string_view(found->second);
    };
    return Verify(scheme, header, body, secrets, now);
  }
};

Sent Standard() {
  return {Scheme::kStandard,
          {{"webhook-id", "evt_1"},
           {"webhook-timestamp", "1764374400"},
           {"webhook-signature", "v1,++j9cl4iSapOZ4r4fylb98KJYBWrvBS2JU/hOsFnf0I="}},
          "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"};
}
Sent Stripe() {
  return {Scheme::kStripe,
          {{"stripe-signature", "t=1764374400,v1=f436627e8f14015c21277e83a5db77c64aafc3d53e02e4476db97ebbbd3438d7"}},
          "whsec_stripe_secret"};
}
Sent Razorpay() {
  return {Scheme::kRazorpay,
          {{"x-razorpay-signature", "4d0d3ca22698cc6362198e1be7a6ae1548b81a4b95e51e39e526eeaf3fef4727"}},
          "razorpay_secret"};
}
Sent Cashfree() {
  return {
      Scheme::kCashfree,
      {{"x-webhook-signature", "4GGV3u5d0epdn9fjI3BqvvszTM3+ULZX+ChnORZznb4="}, {"x-webhook-timestamp", "1764374400"}},
      "cashfree_secret"};
}
// As Adyen's documentation has it.
Sent Adyen() {
  return {Scheme::kAdyen,
          {},
          "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
          R"({"live":"false","notificationItems":[{"NotificationRequestItem":{"additionalData":{"hmacSignature":
"coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="},"amount":{"currency":"EUR","value":1130},"eventCode":"AUTHORISATION",
"merchantAccountCode":"TestMerchant","merchantReference":"TestPayment-1407325143704","pspReference":"7914073381342284",
"success":"true"}}]})"};
}
Sent Mollie() {
  return {Scheme::kMollie,
          {{"x-mollie-signature", "sha256=a96c81aca39f67e420bd206eefb3c07fa283d72d59543531993bae9f8a005b70"}},
          "mollie_secret"};
}
// As GitHub's documentation has it.
Sent Github() {
  return {Scheme::kGithub,
          {{"x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}},
          "It's a Secret to Everybody",
          "Hello, World!"};
}
std::vector<Sent> AllSchemes() { return {Standard(), Stripe(), Razorpay(), Cashfree(), Adyen(), Mollie(), Github()}; }

TEST(WebhookSignature, TakesWhatEachSchemeSigned) {
  for (const Sent& sent : AllSchemes()) EXPECT_EQ(sent.Verified(), std::nullopt) << Name(sent.scheme);
}

TEST(WebhookSignature, RefusesAnyOtherBody) {
  for (Sent sent : AllSchemes()) {
    if (sent.scheme == Scheme::kAdyen) {
      sent.body.replace(sent.body.find("1130"), 4, "1131");
    } else {
      sent.body.back() ^= 1;
    }
    EXPECT_EQ(sent.Verified(), Refusal::kWrongSignature) << Name(sent.scheme);
  }
  Sent cashfree = Cashfree();
  cashfree.body.replace(cashfree.body.find("1.00"), 4, "1");
  EXPECT_EQ(cashfree.Verified(), Refusal::kWrongSignature) << "the bytes as they came";
}

TEST(WebhookSignature, RefusesAnotherSecretAndTakesAnyOfSeveral) {
  const std::map<Scheme, std::string> others = {{Scheme::kStandard, "whsec_AAAAAAAAAAAAAAAA"},
                                                {Scheme::kAdyen, "00112233445566778899"}};
  for (const Sent& sent : AllSchemes()) {
    const auto known = others.find(sent.scheme);
    const std::string other = known == others.end() ? "another secret" : known->second;
    Sent wrong = sent;
    wrong.secret = other;
    EXPECT_EQ(wrong.Verified(), Refusal::kWrongSignature) << Name(sent.scheme);
    Sent rotated = sent;
    rotated.more_secrets = {other};
    EXPECT_EQ(rotated.Verified(), std::nullopt) << Name(sent.scheme);
  }
}

TEST(WebhookSignature, RefusesWhatIsNotSigned) {
  for (Sent sent : AllSchemes()) {
    sent.headers.clear();
    if (sent.scheme == Scheme::kAdyen) sent.body.replace(sent.body.find("hmacSignature"), 13, "hmacSignaturf");
    EXPECT_EQ(sent.Verified(), Refusal::kNoSignature) << Name(sent.scheme);
  }
}

TEST(WebhookSignature, ToleratesFiveMinutesEitherWay) {
  for (Sent sent : {Standard(), Stripe(), Cashfree()}) {
    sent.now = kNow + kTolerance;
    EXPECT_EQ(sent.Verified(), std::nullopt) << Name(sent.scheme);
    sent.now = kNow + kTolerance + absl::Milliseconds(1);
    EXPECT_EQ(sent.Verified(), Refusal::kTooOld) << Name(sent.scheme);
    sent.now = kNow - kTolerance;
    EXPECT_EQ(sent.Verified(), std::nullopt) << Name(sent.scheme);
    sent.now = kNow - kTolerance - absl::Milliseconds(1);
    EXPECT_EQ(sent.Verified(), Refusal::kFromTheFuture) << Name(sent.scheme);
  }
}

TEST(WebhookSignature, RefusesATimeThatIsNone) {
  for (const char* time : {"", "soon", "-1", "1764374400x", "1764374400.5", "99999999999999999999"}) {
    Sent standard = Standard(), stripe = Stripe(), cashfree = Cashfree();
    standard.headers["webhook-timestamp"] = time;
    stripe.headers["stripe-signature"].replace(2, 10, time);
    cashfree.headers["x-webhook-timestamp"] = time;
    for (const Sent& sent : {standard, stripe, cashfree}) {
      EXPECT_EQ(sent.Verified(), Refusal::kNoTime) << Name(sent.scheme) << " " << time;
    }
  }
}

TEST(WebhookSignature, TakesAnotherTimeForAnotherSignature) {
  for (const auto& [sent, header, from, to] :
       {std::tuple(Standard(), "webhook-timestamp", "1764374400", "1764374401"),
        std::tuple(Standard(), "webhook-id", "evt_1", "evt_2"),
        std::tuple(Cashfree(), "x-webhook-timestamp", "1764374400", "1764374401"),
        std::tuple(Stripe(), "stripe-signature", "t=1764374400", "t=1764374401")}) {
    Sent changed = sent;
    std::string& value = changed.headers[header];
    value.replace(value.find(from), std::string_view(from).size(), to);
    EXPECT_EQ(changed.Verified(), Refusal::kWrongSignature) << header;
  }
}

TEST(WebhookSignature, TakesOneOfSeveralSignatures) {
  Sent standard = Standard();
  std::string& signature = standard.headers["webhook-signature"];
  signature = "v1a,c29tZXRoaW5nIGVsc2U= v1,AAAA v1,not*base64 " + signature;
  EXPECT_EQ(standard.Verified(), std::nullopt);
  signature = "v2," + Standard().headers["webhook-signature"].substr(3);
  EXPECT_EQ(standard.Verified(), Refusal::kMalformedSignature) << "of another version only";

  Sent stripe = Stripe();
  const std::string good = stripe.headers["stripe-signature"];
  stripe.headers["stripe-signature"] = "t=1764374400,v1=00ff,v0=abcd," + good.substr(good.find("v1="));
  EXPECT_EQ(stripe.Verified(), std::nullopt);
  stripe.headers["stripe-signature"] = "t=1764374400,v0=" + good.substr(good.find("v1=") + 3);
  EXPECT_EQ(stripe.Verified(), Refusal::kMalformedSignature) << "v0 is for tests of theirs";
}

TEST(WebhookSignature, TakesSvixsOwnHeaders) {
  Sent svix = Standard();
  Headers headers;
  for (const auto& [name, value] : svix.headers) headers["svix-" + name.substr(name.find('-') + 1)] = value;
  svix.headers = headers;
  EXPECT_EQ(svix.Verified(), std::nullopt);
  // Parts of the two are not mixed.
  svix.headers["webhook-signature"] = svix.headers["svix-signature"];
  svix.headers.erase("svix-signature");
  EXPECT_NE(svix.Verified(), std::nullopt);
}

TEST(WebhookSignature, RefusesAnotherForm) {
  for (Sent sent : {Razorpay(), Mollie(), Github(), Stripe()}) {
    std::string& value = sent.headers.begin()->second;
    const std::string good = value;
    for (char& c : value) c = c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c;
    EXPECT_NE(sent.Verified(), std::nullopt) << Name(sent.scheme) << " in upper case";
    value = good + "0";
    EXPECT_NE(sent.Verified(), std::nullopt) << Name(sent.scheme);
    value = good.substr(0, good.size() - 2);
    EXPECT_NE(sent.Verified(), std::nullopt) << Name(sent.scheme) << " cut";
  }
  Sent github = Github();
  github.headers["x-hub-signature-256"] = github.headers["x-hub-signature-256"].substr(7);
  EXPECT_EQ(github.Verified(), Refusal::kMalformedSignature);
}

TEST(WebhookSignature, LooksAtOneItemOfAdyensOnly) {
  Sent two = Adyen();
  const size_t open = two.body.find('[') + 1;
  const std::string item = two.body.substr(open, two.body.rfind(']') - open);
  two.body.insert(open, item + ",");
  EXPECT_EQ(two.Verified(), Refusal::kMalformedSignature) << "one signature would vouch for both";
  for (const char* body : {"", "{", "[]", "{\"notificationItems\":[]}", "{\"notificationItems\":[7]}", "null"}) {
    Sent odd = Adyen();
    odd.body = body;
    EXPECT_EQ(odd.Verified(), Refusal::kMalformedSignature) << body;
  }
}

TEST(WebhookSecret, SaysWhatIsWrongAndNothingOfIt) {
  for (const auto& [scheme, text] :
       {std::pair(Scheme::kStandard, "whsec_not*base64*at*all!"), std::pair(Scheme::kStandard, "whsec_AAAA"),
        std::pair(Scheme::kAdyen, "xyz123"), std::pair(Scheme::kRazorpay, "short"), std::pair(Scheme::kStripe, "")}) {
    const absl::StatusOr<std::string> secret = ParseSecret(scheme, text);
    ASSERT_FALSE(secret.ok()) << text;
    if (*text != '\0') {
      EXPECT_THAT(std::string(secret.status().message()), Not(HasSubstr(text)));
    }
  }
  EXPECT_EQ(*ParseSecret(Scheme::kStandard, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            *ParseSecret(Scheme::kStandard, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
}

TEST(WebhookScheme, HasANameEach) {
  for (const Scheme scheme : kSchemes) EXPECT_EQ(ParseScheme(Name(scheme)), scheme);
  EXPECT_EQ(ParseScheme("none"), std::nullopt);
}

}  // namespace
}  // namespace waybill::payments
