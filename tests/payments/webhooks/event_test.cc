#include "payments/webhooks/event.h"

#include <map>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace waybill::payments {
namespace {

using ::testing::StartsWith;

Event Read(const WebhookGateway& gateway, std::string_view body,
           const std::map<std::string, std::string>& headers = {}) {
  return ReadEvent(
      gateway,
      [&headers](std::string_view name) -> std::string_view {
        const auto found = headers.find(std::string(name));
        return found == headers.end() ? std::string_view() : std::string_view(found->second);
      },
      body);
}

TEST(WebhookEvent, IsReadAsEachSchemesBodiesAre) {
  const Event standard =
      Read(DefaultsOf(Scheme::kStandard),
           R"({"type":"payment.succeeded","data":{"idempotency_key":"k/charge_payment","token":"pi_1",
                                  "amount_minor":1250,"currency":"EUR"}})",
           {{"webhook-id", "evt_1"}, {"webhook-signature", "v1,x"}, {"svix-id", "other"}});
  EXPECT_EQ(standard.id, "evt_1");
  EXPECT_EQ(standard.type, "payment.succeeded");
  EXPECT_EQ(standard.key, "k/charge_payment");
  EXPECT_EQ(standard.token, "pi_1");
  EXPECT_EQ(standard.amount_minor, 1250);
  EXPECT_EQ(standard.currency, "EUR");
  EXPECT_TRUE(standard.wanted);
  EXPECT_EQ(standard.problem, "");

  const Event stripe = Read(DefaultsOf(Scheme::kStripe),
                            R"({"id":"evt_2","type":"payment_intent.succeeded","data":{"object":{"id":"pi_2",
                                "amount":700,"currency":"isk","metadata":{"idempotency_key":"k2"}}}})");
  EXPECT_EQ(stripe.id, "evt_2");
  EXPECT_EQ(stripe.token, "pi_2");
  EXPECT_EQ(stripe.key, "k2");
  EXPECT_EQ(stripe.currency, "ISK");
  EXPECT_EQ(stripe.amount_minor, 7) << "Stripe counts ISK in hundredths";

  const Event cashfree = Read(DefaultsOf(Scheme::kCashfree),
                              R"({"type":"PAYMENT_SUCCESS_WEBHOOK","data":{"order":{"order_id":"o1",
                                  "order_amount":12.50,"order_currency":"INR"}}})");
  EXPECT_THAT(cashfree.id, StartsWith("sha256:")) << "nothing that is signed names the event";
  EXPECT_EQ(cashfree.token, "o1");
  EXPECT_EQ(cashfree.amount_minor, 1250);

  const Event adyen = Read(DefaultsOf(Scheme::kAdyen),
                           R"({"notificationItems":[{"NotificationRequestItem":{"eventCode":"AUTHORISATION",
                               "pspReference":"79","merchantReference":"k3","amount":{"currency":"EUR","value":1130}}}]})");
  EXPECT_EQ(adyen.id, "AUTHORISATION:79");
  EXPECT_EQ(adyen.key, "k3");
  EXPECT_EQ(adyen.amount_minor, 1130);

  const Event mollie = Read(DefaultsOf(Scheme::kMollie),
                            R"({"id":"event_1","type":"payment.paid","entityId":"tr_1",
                                "_embedded":{"entity":{"amount":{"value":"12.50","currency":"EUR"}}}})");
  EXPECT_EQ(mollie.token, "tr_1");
  EXPECT_EQ(mollie.amount_minor, 1250);

  const Event razorpay = Read(DefaultsOf(Scheme::kRazorpay),
                              R"({"event":"payment.captured","payload":{"payment":{"entity":{"order_id":"order_1",
                                  "amount":1250,"currency":"INR"}}}})",
                              {{"x-razorpay-event-id", "any"}});
  EXPECT_THAT(razorpay.id, StartsWith("sha256:"))
      << "the header is not signed: replayed under another id it is the same";
  EXPECT_EQ(razorpay.token, "order_1");

  const Event github = Read(DefaultsOf(Scheme::kGithub), R"({"data":{"token":"t"}})", {{"x-github-event", "paid"}});
  EXPECT_EQ(github.type, "paid");
  EXPECT_EQ(github.token, "t");
}

TEST(WebhookEvent, OfAnotherTypeIsNotWanted) {
  EXPECT_FALSE(Read(DefaultsOf(Scheme::kStripe), R"({"id":"e","type":"charge.refunded"})").wanted);
  EXPECT_FALSE(Read(DefaultsOf(Scheme::kStripe), R"({"id":"e"})").wanted);
}

TEST(WebhookEvent, ThatCannotBeReadIsAProblemAndNotLost) {
  const WebhookGateway gateway = DefaultsOf(Scheme::kStandard);
  const Event none = Read(gateway, "not json", {{"webhook-signature", "v1,x"}, {"webhook-id", "evt_1"}});
  EXPECT_EQ(none.problem, kUnreadableBody);
  EXPECT_EQ(none.id, "evt_1");
  for (const char* amount : {"\"12.5x\"", "12.505", "1e300", "-5", "\"\\u0661\"", "99999999999999999999"}) {
    const std::string body = std::string(R"({"data":{"currency":"EUR","token":"t","amount_minor":)") + amount + "}}";
    EXPECT_EQ(Read(gateway, body).problem, kUnreadableAmount) << amount;
  }
  EXPECT_EQ(Read(gateway, R"({"data":{"currency":"XXQ","amount_minor":5}})").problem, kUnreadableAmount);
}

TEST(WebhookEvent, KeepsNoNameThatWouldBeCut) {
  const WebhookGateway gateway = DefaultsOf(Scheme::kStandard);
  const std::string longest(255, 'x');
  EXPECT_EQ(Read(gateway, R"({"data":{"token":")" + longest + R"("}})").token, longest);
  EXPECT_EQ(Read(gateway, R"({"data":{"token":")" + longest + R"(x"}})").token, "");
  EXPECT_EQ(Read(gateway, R"({"data":{"token":"a\u0000b"}})").token, "");
  EXPECT_EQ(Read(gateway, R"({"data":{"token":{"a":1}}})").token, "");
  EXPECT_EQ(Read(gateway, R"({"data":[{"token":"t"}]})").token, "");
}

TEST(WebhookEvent, OfTheSameBytesIsTheSame) {
  const WebhookGateway gateway = DefaultsOf(Scheme::kRazorpay);
  EXPECT_EQ(Read(gateway, "{}").id, Read(gateway, "{}").id);
  EXPECT_NE(Read(gateway, "{}").id, Read(gateway, "{} ").id);
}

TEST(ParseDecimal, RoundsNothing) {
  EXPECT_EQ(ParseDecimal("12.50", 2), 1250);
  EXPECT_EQ(ParseDecimal("12.5", 2), 1250);
  EXPECT_EQ(ParseDecimal("12", 2), 1200);
  EXPECT_EQ(ParseDecimal("12.5000", 2), 1250);
  EXPECT_EQ(ParseDecimal("0.001", 3), 1);
  EXPECT_EQ(ParseDecimal("1250.0", 0), 1250);
  for (const char* text : {"", ".", "1.2.3", "12.505", "1,000", "-1", "1e3", "9999999999999999999", " 1"}) {
    EXPECT_EQ(ParseDecimal(text, 2), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace waybill::payments
