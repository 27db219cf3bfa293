#include "services/sandbox/books.h"

#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"
#include "runtime/status.h"
#include "tests/support/even_ranges.h"

namespace waybill::sandbox {
namespace {

const absl::Time kNow = absl::FromUnixMicros(1'800'000'000'123'456);

const Verdict kDeclined{Verdict::Kind::kDecline, {}};
const Verdict kPending{Verdict::Kind::kPending, kNow + absl::Hours(1)};

Charge ChargeOf(const std::string& key, int64_t amount = 1299, const std::string& currency = "EUR") {
  return Charge{key, "order-" + key, amount, currency};
}

class SandboxBooks : public ::testing::Test {
 protected:
  ChargeAnswer Take(const std::string& key, const Verdict& fresh = {}, absl::Time now = kNow) {
    effect_.reset();
    auto answer = books_.Charge(ChargeOf(key), fresh, now, effect_);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.value_or(ChargeAnswer());
  }
  RefundAnswer GiveBack(const std::string& key) {
    effect_.reset();
    auto answer = books_.Refund(key, "order-" + key, kNow, effect_);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.value_or(RefundAnswer());
  }
  ChargeAnswer Hold(const std::string& key, const Verdict& fresh = {}) {
    effect_.reset();
    Charge charge = ChargeOf(key);
    charge.hold = true;
    auto answer = books_.Charge(charge, fresh, kNow, effect_);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.value_or(ChargeAnswer());
  }
  CaptureAnswer Capture(const std::string& key, int64_t amount = 1299, absl::Time now = kNow) {
    effect_.reset();
    auto answer = books_.Capture(ChargeOf(key, amount), now, effect_);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.value_or(CaptureAnswer());
  }
  absl::Status Decide(const std::string& key, bool approve) {
    effect_.reset();
    return books_.Decide(key, approve, kNow, effect_);
  }
  AssignAnswer Assign(const std::string& key, bool decline = false) {
    effect_.reset();
    auto answer = books_.Assign(key, "order-" + key, decline, kNow, effect_);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.value_or(AssignAnswer());
  }
  std::string Release(const std::string& key) {
    effect_.reset();
    return books_.Release(key, "order-" + key, kNow, effect_).value_or("error");
  }

  Books books_{2};
  std::optional<Record> effect_;
};

TEST_F(SandboxBooks, AKeyIsChargedOnceAndTheAnswerRepeated) {
  ChargeAnswer first = Take("k");
  EXPECT_EQ(first.kind, ChargeAnswer::Kind::kApproved);
  ASSERT_TRUE(effect_.has_value());
  EXPECT_EQ(effect_->effect, Effect::kCharge);
  EXPECT_EQ(effect_->amount_minor, 1299);
  EXPECT_EQ(effect_->currency, "EUR");
  EXPECT_EQ(effect_->order_id, "order-k");
  EXPECT_EQ(effect_->time, kNow);
  ChargeAnswer second = Take("k", kDeclined);  // too late to decline
  EXPECT_EQ(second.kind, ChargeAnswer::Kind::kApproved);
  EXPECT_EQ(second.reference, first.reference);
  EXPECT_FALSE(effect_.has_value());
  EXPECT_NE(Take("other").reference, first.reference);
}

TEST_F(SandboxBooks, ADeclinedKeyStaysDeclined) {
  EXPECT_EQ(Take("k", kDeclined).reason, "CARD_DECLINED");
  EXPECT_EQ(effect_->effect, Effect::kDecline);
  EXPECT_EQ(Take("k").kind, ChargeAnswer::Kind::kDeclined);
  EXPECT_EQ(Take("k").reason, "CARD_DECLINED");
  EXPECT_EQ(GiveBack("k").refunded_minor, 0);
  EXPECT_FALSE(effect_.has_value());
  EXPECT_EQ(books_.FindPayment("k")->state, Payment::State::kDeclined);
}

TEST_F(SandboxBooks, ARefundGivesTheWholeChargeBackOnce) {
  std::string charge = Take("k").reference;
  RefundAnswer refund = GiveBack("k");
  EXPECT_EQ(refund.refunded_minor, 1299);
  EXPECT_EQ(refund.charge_reference, charge);
  EXPECT_EQ(effect_->effect, Effect::kRefund);
  EXPECT_EQ(effect_->amount_minor, 1299);
  RefundAnswer again = GiveBack("k");
  EXPECT_FALSE(effect_.has_value());
  EXPECT_EQ(again.refunded_minor, 1299);
  EXPECT_EQ(again.reference, refund.reference);
  // The charge happened; its repetition says so, and takes no more money.
  EXPECT_EQ(Take("k").reference, charge);
  EXPECT_FALSE(effect_.has_value());
}

TEST_F(SandboxBooks, ARefundBeforeTheChargeClosesTheKey) {
  EXPECT_EQ(GiveBack("k").refunded_minor, 0);
  EXPECT_EQ(effect_->effect, Effect::kClose);
  EXPECT_EQ(GiveBack("k").refunded_minor, 0);
  EXPECT_FALSE(effect_.has_value());
  ChargeAnswer late = Take("k");
  EXPECT_EQ(late.kind, ChargeAnswer::Kind::kDeclined);
  EXPECT_EQ(late.reason, "KEY_CLOSED");
  EXPECT_FALSE(effect_.has_value());
  EXPECT_EQ(books_.FindPayment("k")->state, Payment::State::kClosed);
}

TEST_F(SandboxBooks, APendingChargeIsRepeatedUntilItIsDecided) {
  ChargeAnswer first = Take("k", kPending);
  EXPECT_EQ(first.kind, ChargeAnswer::Kind::kPending);
  EXPECT_FALSE(first.token.empty());
  EXPECT_EQ(first.until, kPending.until);
  EXPECT_EQ(effect_->effect, Effect::kPending);
  ChargeAnswer again = Take("k");
  EXPECT_EQ(again.token, first.token);
  EXPECT_EQ(again.until, first.until);
  EXPECT_FALSE(effect_.has_value());
  EXPECT_EQ(books_.FindKey(first.token), "k");
  EXPECT_EQ(books_.FindKey("another"), std::nullopt);
  EXPECT_EQ(books_.FindPayment("k")->charged_minor, 0);

  ASSERT_TRUE(Decide("k", true).ok());
  EXPECT_EQ(effect_->effect, Effect::kCharge);
  EXPECT_TRUE(Decide("k", true).ok()) << "to repeat it is harmless";
  EXPECT_FALSE(effect_.has_value());
  EXPECT_EQ(GetErrorDetail(Decide("k", false)).reason, "PAYMENT_DECIDED");
  EXPECT_EQ(Take("k", kPending).kind, ChargeAnswer::Kind::kApproved);
  EXPECT_EQ(GiveBack("k").refunded_minor, 1299);

  Take("other", kPending);
  ASSERT_TRUE(Decide("other", false).ok());
  EXPECT_EQ(Take("other").reason, "CARD_DECLINED");
  EXPECT_EQ(Decide("nobody", true).code(), absl::StatusCode::kNotFound);
}

TEST_F(SandboxBooks, APendingChargeIsApprovedWhenItsTimeIsOver) {
  Take("k", kPending);
  EXPECT_EQ(Take("k", {}, kPending.until - absl::Microseconds(1)).kind, ChargeAnswer::Kind::kPending);
  EXPECT_EQ(Take("k", {}, kPending.until).kind, ChargeAnswer::Kind::kApproved);
  EXPECT_EQ(effect_->effect, Effect::kCharge);
}

TEST_F(SandboxBooks, ARefundClosesAPendingKey) {
  Take("k", kPending);
  EXPECT_EQ(GiveBack("k").refunded_minor, 0);
  EXPECT_EQ(effect_->effect, Effect::kClose);
  EXPECT_EQ(Decide("k", true).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(effect_.has_value());
  EXPECT_EQ(Take("k", {}, kPending.until).reason, "KEY_CLOSED");
  EXPECT_EQ(books_.FindPayment("k")->charged_minor, 0);
}

TEST_F(SandboxBooks, AKeyWithOtherContentIsRefused) {
  Take("k");
  auto code = [&](Charge charge) {
    effect_.reset();
    absl::Status status = books_.Charge(charge, {}, kNow, effect_).status();
    EXPECT_FALSE(effect_.has_value());
    EXPECT_EQ(GetErrorDetail(status).reason, "KEY_REUSED");
    return status.code();
  };
  EXPECT_EQ(code(ChargeOf("k", 1300)), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(code(ChargeOf("k", 1299, "USD")), absl::StatusCode::kFailedPrecondition);
  Charge other_order = ChargeOf("k");
  other_order.order_id = "another";
  EXPECT_EQ(code(other_order), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(books_.Refund("k", "another", kNow, effect_).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(SandboxBooks, BadFieldsChangeNothing) {
  auto violation = [&](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_FALSE(effect_.has_value());
    return GetErrorDetail(status).violations.at(0).first;
  };
  auto charge = [&](Charge bad) { return violation(books_.Charge(bad, {}, kNow, effect_).status()); };
  EXPECT_EQ(charge(ChargeOf("")), "idempotency_key");
  EXPECT_EQ(charge(ChargeOf(std::string(513, 'k'))), "idempotency_key");
  EXPECT_EQ(charge(ChargeOf("k", 0)), "amount_minor");
  EXPECT_EQ(charge(ChargeOf("k", -1)), "amount_minor");
  EXPECT_EQ(charge(ChargeOf("k", 1, "euro")), "currency");
  EXPECT_EQ(violation(books_.Refund("k", "", kNow, effect_).status()), "order_id");
  EXPECT_EQ(violation(books_.Assign("", "o", false, kNow, effect_).status()), "idempotency_key");
  EXPECT_EQ(violation(books_.Release("k", "", kNow, effect_).status()), "order_id");
  EXPECT_TRUE(books_.payments().empty());
  EXPECT_TRUE(books_.assignments().empty());
}

TEST_F(SandboxBooks, ADriverTakesOneOrderAtATime) {
  std::string first = Assign("a").driver_id;
  std::string second = Assign("b").driver_id;
  EXPECT_NE(first, second);
  EXPECT_EQ(Assign("a").driver_id, first);  // repeated
  EXPECT_FALSE(effect_.has_value());
  EXPECT_EQ(Assign("c").reason, "NO_DRIVER_AVAILABLE");
  EXPECT_EQ(effect_->effect, Effect::kNoDriver);
  EXPECT_EQ(Release("a"), first);
  EXPECT_EQ(effect_->effect, Effect::kRelease);
  EXPECT_EQ(Release("a"), first);
  EXPECT_FALSE(effect_.has_value());
  EXPECT_EQ(Assign("d").driver_id, first);
  EXPECT_EQ(Assign("c").reason, "NO_DRIVER_AVAILABLE");  // the first answer stands
}

TEST_F(SandboxBooks, ADeclinedAssignmentTakesNoDriver) {
  EXPECT_EQ(Assign("a", true).reason, "NO_DRIVER_AVAILABLE");
  EXPECT_EQ(Release("a"), "");
  EXPECT_EQ(books_.free_drivers(), 2u);
}

TEST_F(SandboxBooks, AReleaseBeforeTheAssignmentClosesTheKey) {
  EXPECT_EQ(Release("a"), "");
  EXPECT_EQ(effect_->effect, Effect::kCloseAssignment);
  EXPECT_EQ(Assign("a").reason, "KEY_CLOSED");
  EXPECT_EQ(books_.free_drivers(), 2u);
}

TEST_F(SandboxBooks, WhatIsHeldIsTakenByACaptureOnce) {
  const ChargeAnswer held = Hold("a");
  EXPECT_EQ(effect_->effect, Effect::kAuthorize);
  EXPECT_EQ(held.kind, ChargeAnswer::Kind::kApproved);
  EXPECT_EQ(held.expires, kNow + absl::Hours(7 * 24));
  EXPECT_EQ(books_.FindPayment("a")->held_minor, 1299);
  EXPECT_EQ(books_.FindPayment("a")->charged_minor, 0);
  const std::string reference = Capture("a", 1000).reference;
  EXPECT_EQ(effect_->effect, Effect::kCapture);
  EXPECT_EQ(Capture("a", 1000).reference, reference);
  EXPECT_FALSE(effect_.has_value());
  EXPECT_EQ(books_.FindPayment("a")->charges, 1);
  EXPECT_EQ(books_.FindPayment("a")->charged_minor, 1000);
  EXPECT_EQ(books_.FindPayment("a")->held_minor, 0) << "the rest is let go";
  EXPECT_EQ(GiveBack("a").refunded_minor, 1000);
  EXPECT_EQ(books_.Capture(ChargeOf("a", 1299), kNow, effect_).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(SandboxBooks, AHoldThatIsVoidedOrExpiredIsNeverTaken) {
  Hold("a");
  EXPECT_EQ(GiveBack("a").refunded_minor, 0);
  EXPECT_EQ(effect_->effect, Effect::kVoid);
  EXPECT_EQ(Capture("a").reason, "KEY_CLOSED");
  EXPECT_EQ(Capture("a").reason, "KEY_CLOSED");
  EXPECT_FALSE(effect_.has_value());

  Verdict short_hold;
  short_hold.held_for = absl::Minutes(1);
  Hold("b", short_hold);
  EXPECT_EQ(Capture("b", 1299, kNow + absl::Minutes(1)).reason, "EXPIRED");
  EXPECT_EQ(effect_->effect, Effect::kRefuseCapture);
  EXPECT_EQ(Capture("b").reason, "EXPIRED") << "the first answer, whatever the clock says";
  EXPECT_EQ(GiveBack("b").refunded_minor, 0);
  EXPECT_EQ(effect_->effect, Effect::kVoid);
  EXPECT_EQ(books_.FindPayment("b")->held_minor, 0);
  EXPECT_EQ(Capture("c").reason, "KEY_CLOSED");
  EXPECT_EQ(Hold("c").reason, "KEY_CLOSED");
}

TEST_F(SandboxBooks, APendingHoldIsHeldOnceItIsApproved) {
  Hold("a", kPending);
  EXPECT_EQ(Capture("a").reason, "NOT_AUTHORIZED");
  Hold("b", kPending);
  EXPECT_TRUE(Decide("b", true).ok());
  EXPECT_EQ(effect_->effect, Effect::kAuthorize);
  EXPECT_TRUE(Decide("b", true).ok());
  EXPECT_FALSE(effect_.has_value());
  EXPECT_EQ(books_.FindPayment("b")->charged_minor, 0);
  EXPECT_EQ(Capture("b").reason, "");
  EXPECT_EQ(books_.FindPayment("b")->charged_minor, 1299);
}

TEST_F(SandboxBooks, AKeyIsChargedOrAuthorized) {
  Hold("a");
  EXPECT_EQ(books_.Charge(ChargeOf("a"), {}, kNow, effect_).status().code(), absl::StatusCode::kFailedPrecondition);
  Take("b");
  Charge hold = ChargeOf("b");
  hold.hold = true;
  EXPECT_EQ(books_.Charge(hold, {}, kNow, effect_).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Capture("b").reason, "NOT_AUTHORIZED");
}

// Whatever is called in whatever order: no key is charged or refunded twice, no driver is held twice, and books read
// back from the lines answer every repetition as the first ones did.
TEST(SandboxBooksProperty, TheLogIsTheBooks) {
  EXPECT_TRUE(rc::check([] {
    Books books(3);
    std::vector<std::string> lines;
    std::map<std::string, std::string> answers;
    auto call = [&](Books& with, int op, const std::string& key, int verdict, std::optional<Record>& effect) {
      std::string order = "o" + key;
      const bool decline = verdict == 1;
      switch (op) {
        case 0: {
          const Verdict fresh = verdict == 0 ? Verdict() : decline ? kDeclined : kPending;
          auto answer = with.Charge(Charge{key, order, 5, "EUR"}, fresh, kNow, effect);
          return "charge " + answer->reference + answer->reason + answer->token;
        }
        case 1: {
          auto answer = with.Refund(key, order, kNow, effect);
          return "refund " + answer->reference + answer->charge_reference + std::to_string(answer->refunded_minor);
        }
        case 2: {
          auto answer = with.Assign(key, order, decline, kNow, effect);
          return "assign " + answer->driver_id + answer->reason;
        }
        case 3:
          return "release " + *with.Release(key, order, kNow, effect);
        case 5: {
          const Verdict fresh = verdict == 0 ? Verdict() : decline ? kDeclined : kPending;
          auto answer = with.Charge(Charge{"h" + key, order, 5, "EUR", true}, fresh, kNow, effect);
          return "charge " + answer->reference + answer->reason + answer->token;
        }
        case 6: {
          auto answer = with.Capture(Charge{"h" + key, order, 5, "EUR"}, kNow, effect);
          return "capture " + answer->reference + answer->reason;
        }
        case 7: {
          auto answer = with.Refund("h" + key, order, kNow, effect);
          return "refund " + answer->reference + answer->charge_reference + std::to_string(answer->refunded_minor);
        }
        case 8:
          return "decide " + std::string(with.Decide("h" + key, !decline, kNow, effect).message());
        default:
          return "decide " + std::string(with.Decide(key, !decline, kNow, effect).message());
      }
    };
    // What is pending is decided, and what was held and is voided does not look held.
    auto follows = [](const std::string& first, const std::string& answer) {
      const bool voided = first.starts_with("charge au_") && answer == "charge KEY_CLOSED";
      return answer == first || first.starts_with("charge pi_") || voided;
    };
    auto ops = *rc::gen::container<std::vector<std::tuple<int, int, int>>>(
        rc::gen::tuple(testing::Below(9), testing::Below(8), testing::Below(3)));
    for (const auto& [op, key_number, verdict] : ops) {
      std::string key = "k" + std::to_string(key_number);
      std::optional<Record> effect;
      std::string answer = call(books, op, key, verdict, effect);
      if (effect) lines.push_back(ToLine(*effect));
      if (op == 4 || op == 8) continue;
      auto [known, fresh] = answers.emplace(std::to_string(op) + key, answer);
      RC_ASSERT(fresh || follows(known->second, answer));
      known->second = answer;
    }
    Books read_back(3);
    std::map<std::string, int> charges;
    std::map<std::string, int> refunds;
    std::set<std::string> busy;
    for (const std::string& line : lines) {
      auto record = ParseLine(line.substr(0, line.size() - 1));
      RC_ASSERT(record.has_value());
      if (record->effect == Effect::kCharge || record->effect == Effect::kCapture)
        RC_ASSERT(++charges[record->key] == 1);
      if (record->effect == Effect::kRefund) RC_ASSERT(++refunds[record->key] == 1);
      if (record->effect == Effect::kRefund) RC_ASSERT(charges[record->key] == 1);
      if (record->effect == Effect::kAssign) RC_ASSERT(busy.insert(record->driver_id).second);
      if (record->effect == Effect::kRelease) RC_ASSERT(busy.erase(record->driver_id) == 1u);
      read_back.Apply(*record);
    }
    RC_ASSERT(read_back.free_drivers() == books.free_drivers());
    RC_ASSERT(read_back.free_drivers() + busy.size() == 3u);
    for (const auto& [op_and_key, answer] : answers) {
      std::optional<Record> effect;
      const int op = op_and_key[0] - '0';
      const std::string key = op_and_key.substr(1);
      const std::string read = call(read_back, op, key, 0, effect);
      RC_ASSERT(read == call(books, op, key, 0, effect));
      RC_ASSERT(follows(answer, read));
      RC_ASSERT(!effect.has_value());
    }
  }));
}

TEST(SandboxRecord, AnyTextSurvives) {
  EXPECT_TRUE(rc::check([] {
    Record record;
    record.effect = Effect::kRefund;
    record.key = *rc::gen::container<std::string>(testing::Below<char>(127));
    record.order_id = "\xc3\xa9\"\\\n";
    record.amount_minor = std::numeric_limits<int64_t>::max();
    record.token = record.key;
    record.until = kNow + absl::Hours(1);
    record.time = kNow;
    std::string line = ToLine(record);
    RC_ASSERT(line.find('\n') == line.size() - 1);
    auto back = ParseLine(line.substr(0, line.size() - 1));
    RC_ASSERT(back.has_value());
    RC_ASSERT(back->key == record.key);
    RC_ASSERT(back->order_id == record.order_id);
    RC_ASSERT(back->amount_minor == record.amount_minor);
    RC_ASSERT(back->token == record.token);
    RC_ASSERT(back->until == record.until);
    RC_ASSERT(back->time == record.time);
  }));
}

TEST_F(SandboxBooks, WhatLapsesIsDeclinedInTimeAndWhatDoesNotIsApproved) {
  Verdict lapsing = kPending;
  lapsing.expires = lapsing.until;
  lapsing.lapses = true;
  EXPECT_EQ(Take("k", lapsing).kind, ChargeAnswer::Kind::kPending);
  EXPECT_TRUE(effect_->lapses);
  EXPECT_EQ(Take("other", kPending).kind, ChargeAnswer::Kind::kPending);
  effect_.reset();
  books_.DecideInTime("k", kNow + absl::Hours(1) - absl::Microseconds(1), effect_);
  EXPECT_FALSE(effect_.has_value()) << "there is time left";
  books_.DecideInTime("k", kNow + absl::Hours(1), effect_);
  ASSERT_TRUE(effect_.has_value());
  EXPECT_EQ(effect_->effect, Effect::kDecline);
  EXPECT_EQ(effect_->reason, "EXPIRED");
  effect_.reset();
  books_.DecideInTime("k", kNow + absl::Hours(2), effect_);
  EXPECT_FALSE(effect_.has_value()) << "once";
  EXPECT_FALSE(Decide("k", true).ok()) << "the payer comes too late";
  books_.DecideInTime("other", kNow + absl::Hours(1), effect_);
  ASSERT_TRUE(effect_.has_value());
  EXPECT_EQ(effect_->effect, Effect::kCharge);
}

TEST_F(SandboxBooks, WhatLapsesDoesSoAlsoAfterItWasReadBack) {
  Verdict lapsing = kPending;
  lapsing.lapses = true;
  Take("k", lapsing);
  const std::optional<Record> read = ParseLine(ToLine(*effect_).substr(0, ToLine(*effect_).size() - 1));
  ASSERT_TRUE(read.has_value());
  Books again(0);
  again.Apply(*read);
  std::optional<Record> effect;
  again.DecideInTime("k", kNow + absl::Hours(1), effect);
  ASSERT_TRUE(effect.has_value());
  EXPECT_EQ(effect->reason, "EXPIRED");
}

TEST_F(SandboxBooks, WhatIsThereOfAChargeIsChargedBackOnce) {
  Take("k");
  ASSERT_TRUE(books_.RefundPart({"k", "order-k", "r", 299, "EUR"}, kNow, effect_).ok());
  effect_.reset();
  EXPECT_TRUE(books_.ChargeBack("k", kNow, effect_).ok());
  ASSERT_TRUE(effect_.has_value());
  EXPECT_EQ(effect_->amount_minor, 1000);
  effect_.reset();
  EXPECT_TRUE(books_.ChargeBack("k", kNow, effect_).ok());
  EXPECT_FALSE(effect_.has_value());
  Take("given back");
  GiveBack("given back");
  effect_.reset();
  EXPECT_EQ(GetErrorDetail(books_.ChargeBack("given back", kNow, effect_)).reason, "NOTHING_CHARGED");
  EXPECT_EQ(books_.ChargeBack("never", kNow, effect_).code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(effect_.has_value());
}

PayoutOrder PayoutOf(const std::string& key, int64_t amount = 1299) {
  return PayoutOrder{key, "payout-" + key, "DE02", amount, "EUR"};
}

TEST_F(SandboxBooks, APayoutIsPaidOnceAndTheAnswerRepeated) {
  std::optional<Record> effect;
  absl::StatusOr<Payout> paid = books_.Pay(PayoutOf("k"), {}, kNow, effect);
  ASSERT_TRUE(paid.ok() && effect.has_value()) << paid.status();
  EXPECT_EQ(effect->effect, Effect::kPay);
  effect.reset();
  absl::StatusOr<Payout> again = books_.Pay(PayoutOf("k"), kDeclined, kNow, effect);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_FALSE(effect.has_value());
  EXPECT_EQ(again->reference, paid->reference);
  EXPECT_EQ(GetErrorDetail(books_.Pay(PayoutOf("k", 1300), {}, kNow, effect).status()).reason, "KEY_REUSED");
  EXPECT_EQ(books_.FindPayout("k")->paid_minor, 1299);
  EXPECT_EQ(books_.FindPayment("k"), nullptr) << "no charge of the key";
}

TEST_F(SandboxBooks, APendingPayoutIsDecidedOnceByAHandOrByItsTime) {
  std::optional<Record> effect;
  for (const char* key : {"refused", "in time"}) ASSERT_TRUE(books_.Pay(PayoutOf(key), kPending, kNow, effect).ok());
  EXPECT_EQ(books_.FindKey(books_.FindPayout("refused")->token), "refused");
  ASSERT_TRUE(books_.DecidePayout("refused", false, kNow, effect).ok());
  EXPECT_EQ(GetErrorDetail(books_.DecidePayout("refused", true, kNow, effect)).reason, "PAYMENT_DECIDED");
  EXPECT_EQ(books_.Pay(PayoutOf("refused"), {}, kNow, effect)->state, Payout::State::kRefused);
  EXPECT_EQ(books_.Pay(PayoutOf("in time"), {}, kNow, effect)->state, Payout::State::kPending);
  EXPECT_EQ(books_.Pay(PayoutOf("in time"), {}, kNow + absl::Hours(1), effect)->state, Payout::State::kPaid);
}

TEST_F(SandboxBooks, PayoutsAreReadBackFromTheirLines) {
  std::vector<std::string> lines;
  const auto keep = [&](std::optional<Record>& effect) {
    if (effect.has_value()) lines.push_back(ToLine(*effect));
    effect.reset();
  };
  std::optional<Record> effect;
  ASSERT_TRUE(books_.Pay(PayoutOf("paid"), {}, kNow, effect).ok());
  keep(effect);
  ASSERT_TRUE(books_.Pay(PayoutOf("refused"), kDeclined, kNow, effect).ok());
  keep(effect);
  ASSERT_TRUE(books_.Pay(PayoutOf("pending"), kPending, kNow, effect).ok());
  keep(effect);
  Books read(2);
  for (std::string& line : lines) {
    line.pop_back();
    const std::optional<Record> record = ParseLine(line);
    ASSERT_TRUE(record.has_value()) << line;
    read.Apply(*record);
  }
  for (const auto& [key, payout] : books_.payouts()) {
    const Payout* same = read.FindPayout(key);
    ASSERT_NE(same, nullptr) << key;
    EXPECT_EQ(same->state, payout.state) << key;
    EXPECT_EQ(same->payout_id, payout.payout_id);
    EXPECT_EQ(same->destination, "DE02");
    EXPECT_EQ(same->reference, payout.reference);
    EXPECT_EQ(same->reason, payout.reason);
    EXPECT_EQ(same->token, payout.token);
    EXPECT_EQ(same->paid_minor, payout.paid_minor);
  }
  EXPECT_EQ(read.FindPayout("pending")->until, kNow + absl::Hours(1));
}

}  // namespace
}  // namespace waybill::sandbox
