#include "services/order/gateway_webhooks.h"

#include "gtest/gtest.h"

namespace waybill::order {
namespace {

using storage::InboxState;
using storage::WebhookEvent;
using storage::WebhookOrder;

const WebhookEvent kEvent = {"acme", "evt_1", "payment.succeeded", "", "pi_1", 1250, "EUR"};

WebhookOrder Waiting() {
  WebhookOrder order;
  order.amount_minor = 1250;
  order.currency = "EUR";
  order.token = "pi_1";
  return order;
}

TEST(WebhookJudgement, TellsAnOrderThatWaits) {
  const WebhookOrder order = Waiting();
  const WebhookJudgement judged = JudgeWebhook(kEvent, &order, absl::ZeroDuration());
  EXPECT_TRUE(judged.signal);
  EXPECT_EQ(judged.state, InboxState::kSignalled);
  WebhookEvent silent = kEvent;
  silent.amount_minor.reset();
  silent.currency.clear();
  EXPECT_TRUE(JudgeWebhook(silent, &order, absl::ZeroDuration()).signal)
      << "what says no amount is a reason to ask too";
}

TEST(WebhookJudgement, NeverTellsOfAnotherAmountOrCurrency) {
  for (const saga::State state : {saga::State::kRunning, saga::State::kSucceeded, saga::State::kCompensated}) {
    WebhookOrder order = Waiting();
    order.state = state;
    order.amount_minor = 1251;
    EXPECT_EQ(JudgeWebhook(kEvent, &order, absl::ZeroDuration()).state, InboxState::kAttention);
    EXPECT_FALSE(JudgeWebhook(kEvent, &order, absl::ZeroDuration()).signal);
    order = Waiting();
    order.state = state;
    order.currency = "USD";
    EXPECT_EQ(JudgeWebhook(kEvent, &order, absl::ZeroDuration()).reason, "CURRENCY_MISMATCH");
    EXPECT_FALSE(JudgeWebhook(kEvent, &order, absl::ZeroDuration()).signal);
  }
}

TEST(WebhookJudgement, ComesTooLateForWhatIsDecided) {
  WebhookOrder charged = Waiting();
  charged.charged = true;
  EXPECT_EQ(JudgeWebhook(kEvent, &charged, absl::ZeroDuration()).state, InboxState::kLate);
  WebhookOrder over = Waiting();
  over.state = saga::State::kCompensating;
  EXPECT_EQ(JudgeWebhook(kEvent, &over, absl::ZeroDuration()).state, InboxState::kLate);
}

TEST(WebhookJudgement, KeepsWhatMatchesNothingForAWeek) {
  EXPECT_EQ(JudgeWebhook(kEvent, nullptr, absl::ZeroDuration()).state, InboxState::kUnmatched);
  EXPECT_EQ(JudgeWebhook(kEvent, nullptr, kUnmatchedFor).state, InboxState::kUnmatched);
  EXPECT_EQ(JudgeWebhook(kEvent, nullptr, kUnmatchedFor + absl::Seconds(1)).state, InboxState::kAttention);
  WebhookOrder unasked = Waiting();
  unasked.token.clear();  // by its key; the charge's answer is not here yet
  EXPECT_EQ(JudgeWebhook(kEvent, &unasked, absl::ZeroDuration()).state, InboxState::kUnmatched);
  unasked.attempt_decided = true;  // it went on to another gateway
  EXPECT_EQ(JudgeWebhook(kEvent, &unasked, absl::ZeroDuration()).state, InboxState::kLate);
  WebhookEvent nothing = kEvent;
  nothing.token.clear();
  EXPECT_EQ(JudgeWebhook(nothing, nullptr, absl::ZeroDuration()).state, InboxState::kIgnored);
}

TEST(WebhookJudgement, LooksAgainEverMoreRarely) {
  EXPECT_EQ(NextLook(0), absl::Seconds(1));
  EXPECT_EQ(NextLook(3), absl::Seconds(8));
  EXPECT_EQ(NextLook(12), absl::Hours(1));
  EXPECT_EQ(NextLook(1'000'000), absl::Hours(1));
}

TEST(WebhookJudgement, AfterLooksThatFailedLooksAgainByTiersThatEnd) {
  EXPECT_EQ(NextTier(0), absl::Seconds(5));
  int tiers = 1;
  for (; NextTier(tiers); ++tiers) EXPECT_GT(*NextTier(tiers), *NextTier(tiers - 1));
  EXPECT_EQ(tiers, 7);
  EXPECT_EQ(NextTier(1'000'000), std::nullopt);
}

TEST(WebhookJudgement, KnowsTheOrderByTheChargesKey) {
  EXPECT_EQ(OrderOfKey("019a2500-1f3f-7a51-8f45-afdf29887808/charge_payment"),
            Uuid::Parse("019a2500-1f3f-7a51-8f45-afdf29887808"));
  EXPECT_EQ(OrderOfKey("019a2500-1f3f-7a51-8f45-afdf29887808/charge_payment/2"),
            Uuid::Parse("019a2500-1f3f-7a51-8f45-afdf29887808"));
  for (const char* key :
       {"", "/", "019a2500-1f3f-7a51-8f45-afdf29887808/charge_payment/",
        "019a2500-1f3f-7a51-8f45-afdf29887808/charge_payment/2x",
        "019a2500-1f3f-7a51-8f45-afdf29887808/charge_payments", "019a2500-1f3f-7a51-8f45-afdf29887808",
        "x/charge_payment", "019a2500-1f3f-7a51-8f45-afdf29887808/assign_driver"}) {
    EXPECT_EQ(OrderOfKey(key), std::nullopt) << key;
  }
}

}  // namespace
}  // namespace waybill::order
