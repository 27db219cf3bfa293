// Orders whose money is held first, and captured when they have their driver.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "saga/runner.h"
#include "saga/testing/memory_journal.h"
#include "services/order/builtin_gateway.h"
#include "services/order/order_status.h"
#include "services/order/place_order.h"
#include "services/order/routed_payment.h"
#include "services/order/testing/fake_dispatch.h"
#include "services/order/testing/fake_payment_gateway.h"
#include "storage/testing/memory_order_book.h"
#include "tests/services/order/two_gateways_test.h"

namespace waybill::order {
namespace {

using ::testing::ElementsAre;
using testing::Fate;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// north is cheaper, asked first, and captured later.
payments::Routes NorthCapturedLater() {
  payments::Routes routes;
  routes.gateways.resize(2);
  routes.gateways[0].name = "north";
  routes.gateways[0].cost_ppm = 1;
  routes.gateways[0].capture_later = true;
  routes.gateways[1].name = "south";
  routes.gateways[1].cost_ppm = 2;
  return routes;
}

std::string Standings(const domain::Order& order) {
  std::string text;
  for (const domain::PaymentAttempt& attempt : order.attempts) {
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", attempt.gateway, domain::StandingOf(attempt));
  }
  return text;
}

// In our own books: the first driver is everybody's first choice.
class BooksDispatch final : public Dispatch {
 public:
  bool journaled() const override { return true; }
  void Assign(const ParticipantCall&, const Uuid&, const domain::Order&, int conflicts,
              absl::AnyInvocable<void(absl::StatusOr<AssignResult>)> done) override {
    AssignResult result;
    result.driver = domain::DriverSlot{fmt::format("d-{}", conflicts + 1), 1};
    done(std::move(result));
  }
  void Release(const ParticipantCall&, const Uuid&, const domain::Order&,
               absl::AnyInvocable<void(absl::Status)> done) override {
    done(absl::OkStatus());
  }
};

class CapturedPaymentTest : public TwoGatewaysTest {
 protected:
  CapturedPaymentTest() : TwoGatewaysTest(NorthCapturedLater(), Capturing::kByGateway) {}

  // `begins`: whether it begins orders whose money is held first.
  std::vector<saga::Definition> Definitions(bool begins = true) {
    return {PlaceRoutedOrder(routing_, dispatch_, time_, options_),
            PlaceCapturedOrder(routing_, dispatch_, time_, begins, options_)};
  }
  Uuid Place() { return TwoGatewaysTest::Place(process_); }
  void Cancel(const Uuid& id) { TwoGatewaysTest::Cancel(process_, id); }
  std::vector<std::string> Story(const Uuid& id) {
    std::vector<std::string> story;
    for (const saga::LogEntry& entry : book_.rows.at(id).log) {
      story.push_back(fmt::format("{} {}{}{}", entry.step, saga::Name(entry.outcome), entry.detail.empty() ? "" : ": ",
                                  entry.detail));
    }
    return story;
  }

  Process process_{*this, Definitions(), "a"};
};

TEST_F(CapturedPaymentTest, TheMoneyIsTakenOnceTheOrderHasItsDriver) {
  const absl::Time expires = time_.Now() + absl::Hours(7 * 24);
  north_.set_authorization_expires(expires);
  const Uuid id = Place();
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_EQ(Standings(Of(id).payload), "north=approved");
  EXPECT_EQ(Of(id).version, kCapturedVersion);
  EXPECT_EQ(north_.books().at(Key(id, 1)).charges, 1);
  EXPECT_EQ(north_.NetMinor(), 1250);
  EXPECT_EQ(north_.HeldMinor(), 0);
  ASSERT_TRUE(Of(id).payload.charge);
  EXPECT_EQ(Of(id).payload.charge->amount_minor, 1250);
  EXPECT_EQ(Of(id).payload.charge->gateway_reference, "fake-" + Key(id, 1));
  ASSERT_TRUE(Of(id).payload.attempts[0].authorization);
  EXPECT_EQ(Of(id).payload.attempts[0].authorization->expires, expires);
  EXPECT_THAT(Story(id), ElementsAre(HasSubstr("charge_payment succeeded: north: authorized until "),
                                     "assign_driver succeeded: d-1", "capture_payment succeeded: north"));
}

TEST_F(CapturedPaymentTest, WithoutADriverItIsVoidedAndNoMoneyMoves) {
  testing::FakeDispatch nobody{{}};
  process_.kinds = saga::Kinds({PlaceCapturedOrder(routing_, nobody, time_, true, options_)});
  const Uuid id = Place();
  EXPECT_EQ(StatusIs(id), "FAILED");
  EXPECT_EQ(Standings(Of(id).payload), "north=voided");
  EXPECT_FALSE(Of(id).payload.charge) << "nothing was ever taken";
  EXPECT_EQ(north_.books().at(Key(id, 1)).charges, 0);
  EXPECT_EQ(north_.HeldMinor(), 0);
  EXPECT_TRUE(north_.books().at(Key(id, 1)).closed);
  EXPECT_THAT(Story(id).back(), HasSubstr("charge_payment undone: north: voided"));
}

TEST_F(CapturedPaymentTest, NothingIsCapturedBeforeTheDriverIsDurable) {
  std::vector<std::string> writes;
  book_.on_write = [&](const saga::testing::MemoryBook::Row& row) {
    const domain::Order& order = saga::As<domain::Order>(*row.record).payload;
    writes.push_back(fmt::format("{} {} {} {}", Standings(order), order.driver ? order.driver->driver_id : "nobody",
                                 order.charge ? "charged" : "not charged", north_.NetMinor()));
  };
  Place();
  EXPECT_THAT(writes, ElementsAre("north=open nobody not charged 0", "north=authorized nobody not charged 0",
                                  "north=authorized d-1 not charged 0", "north=approved d-1 charged 1250"));
}

TEST_F(CapturedPaymentTest, ADriverWhoIsLostAtTheCommitIsLostBeforeTheCapture) {
  BooksDispatch books;
  process_.kinds = saga::Kinds({PlaceCapturedOrder(routing_, books, time_, true, options_)});
  const Uuid first = Place();
  int64_t captured = -1;
  book_.on_write = [&](const saga::testing::MemoryBook::Row& row) {
    const domain::Order& order = saga::As<domain::Order>(*row.record).payload;
    if (order.driver && captured < 0) captured = north_.NetMinor() - 1250;  // when its driver is durable
  };
  const Uuid second = Place();
  EXPECT_EQ(captured, 0);
  EXPECT_EQ(StatusIs(first), "CONFIRMED");
  EXPECT_EQ(StatusIs(second), "CONFIRMED");
  EXPECT_EQ(Of(second).payload.driver->driver_id, "d-2");
  EXPECT_THAT(Story(second), ElementsAre(HasSubstr("charge_payment succeeded: north: authorized"),
                                         "assign_driver succeeded: d-2", "capture_payment succeeded: north"));
  EXPECT_EQ(north_.NetMinor(), 2500);
  EXPECT_EQ(north_.books().at(Key(second, 1)).charges, 1);
}

TEST_F(CapturedPaymentTest, AGatewayThatChargesAtOnceIsNotAskedToCapture) {
  north_.WillMeet({Fate::kNotSent});
  const Uuid id = Place();
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_EQ(Standings(Of(id).payload), "north=not_sent south=approved");
  EXPECT_EQ(Of(id).version, kCapturedVersion);
  EXPECT_FALSE(Of(id).payload.attempts[1].authorization);
  EXPECT_EQ(south_.NetMinor(), 1250);
  EXPECT_THAT(Story(id), ::testing::Contains("capture_payment succeeded: south: charged at once"));
  Cancel(id);
  EXPECT_EQ(StatusIs(id), "CANCELLED");
  EXPECT_EQ(Standings(Of(id).payload), "north=not_sent south=refunded");
}

TEST_F(CapturedPaymentTest, ACancelWhileItIsHeldVoids) {
  // north answers the authorization, and nothing of a capture.
  north_.WillMeet({Fate::kAnswered});
  north_.set_fate(Fate::kLostBefore);
  const Uuid id = Start(process_);
  EXPECT_EQ(StatusIs(id), "PENDING");
  EXPECT_EQ(Standings(Of(id).payload), "north=authorized");
  EXPECT_TRUE(Of(id).payload.driver);
  north_.set_fate(Fate::kAnswered);
  Cancel(id);
  EXPECT_EQ(StatusIs(id), "CANCELLED");
  EXPECT_EQ(Standings(Of(id).payload), "north=voided");
  EXPECT_FALSE(Of(id).payload.driver);
  EXPECT_FALSE(Of(id).payload.charge);
  EXPECT_EQ(north_.HeldMinor(), 0);
}

TEST_F(CapturedPaymentTest, ACancelAfterTheCaptureRefunds) {
  const Uuid id = Place();
  Cancel(id);
  EXPECT_EQ(StatusIs(id), "CANCELLED");
  EXPECT_EQ(Standings(Of(id).payload), "north=refunded");
  ASSERT_TRUE(Of(id).payload.refund);
  EXPECT_EQ(Of(id).payload.refund->amount_minor, 1250);
  EXPECT_EQ(north_.NetMinor(), 0);
}

TEST_F(CapturedPaymentTest, IsCompletedLikeAnyOrder) {
  const Uuid id = Place();
  process_.runner.Direct(id, {saga::Directive::Kind::kClose, ""}, nullptr, [](auto) {});
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(StatusIs(id), "COMPLETED");
  EXPECT_EQ(Of(id).state, saga::State::kClosed);
  EXPECT_THAT(dispatch_.assigned(), IsEmpty());
  EXPECT_EQ(north_.NetMinor(), 1250);
}

TEST_F(CapturedPaymentTest, ACaptureThatIsUnknownIsAskedAgainUnderItsKey) {
  north_.WillMeet({Fate::kAnswered, Fate::kLostAfter, Fate::kLostBefore, Fate::kUnavailable});
  const Uuid id = Place();
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_EQ(north_.books().at(Key(id, 1)).charges, 1);
  EXPECT_EQ(Standings(Of(id).payload), "north=approved");
}

TEST_F(CapturedPaymentTest, ACaptureThatStaysUnknownIsTurnedBackWhicheverItWas) {
  for (const Fate lost : {Fate::kLostAfter, Fate::kLostBefore}) {
    north_.WillMeet({Fate::kAnswered, lost});
    north_.set_fate(Fate::kUnavailable);
    const Uuid id = Place();
    EXPECT_EQ(StatusIs(id), "COMPENSATING") << "and never failed before the gateway has said which";
    EXPECT_TRUE(Of(id).needs_attention);
    EXPECT_FALSE(Of(id).payload.driver) << "free for others";
    north_.set_fate(Fate::kAnswered);
    time_.Advance(absl::Minutes(5));
    EXPECT_EQ(StatusIs(id), "FAILED");
    const bool captured = lost == Fate::kLostAfter;
    EXPECT_EQ(Standings(Of(id).payload), captured ? "north=refunded" : "north=voided");
    EXPECT_EQ(Of(id).payload.charge.has_value(), captured);
    EXPECT_EQ(Of(id).payload.refund.has_value(), captured);
    EXPECT_EQ(north_.books().at(Key(id, 1)).charges, captured ? 1 : 0);
    EXPECT_EQ(north_.NetMinor() + north_.HeldMinor(), 0);
    EXPECT_EQ(Of(id).failure.reason, kPaymentUnknown);
  }
}

TEST_F(CapturedPaymentTest, AHoldThatHasExpiredTurnsTheOrderBack) {
  north_.WillMeet({Fate::kAnswered, Fate::kUnavailable});
  const Uuid id = Start(process_);
  north_.Expire();
  time_.Advance(absl::Minutes(5));
  EXPECT_EQ(StatusIs(id), "FAILED");
  EXPECT_EQ(Of(id).failure.reason, kCaptureRefused);
  EXPECT_EQ(Of(id).failure.detail, "north: EXPIRED");
  EXPECT_EQ(Standings(Of(id).payload), "north=voided");
  EXPECT_EQ(north_.NetMinor(), 0);
  EXPECT_FALSE(Of(id).payload.driver);
}

TEST_F(CapturedPaymentTest, ARefusalThatContradictsACaptureLosesNothing) {
  north_.WillMeet({Fate::kAnswered, Fate::kLostAfter, Fate::kRefused});
  const Uuid id = Place();
  EXPECT_EQ(StatusIs(id), "FAILED");
  EXPECT_EQ(Standings(Of(id).payload), "north=refunded");
  EXPECT_EQ(north_.NetMinor(), 0);
}

TEST_F(CapturedPaymentTest, ACaptureThatLandsLateIsRefusedOrGivenBack) {
  north_.WillMeet({Fate::kAnswered, Fate::kSlow});
  const Uuid id = Start(process_);
  Cancel(id);
  EXPECT_EQ(StatusIs(id), "COMPENSATING") << "it may still take the money";
  north_.Land();
  time_.Advance(absl::Minutes(5));
  EXPECT_EQ(StatusIs(id), "CANCELLED");
  EXPECT_EQ(Standings(Of(id).payload), "north=refunded");
  EXPECT_EQ(north_.NetMinor(), 0);
}

TEST_F(CapturedPaymentTest, AnAuthorizationThatIsUnknownIsClosedBeforeAnotherGatewayIsAsked) {
  north_.WillMeet({Fate::kLostAfter, Fate::kLostAfter, Fate::kLostAfter});
  const Uuid id = Place();
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_EQ(Standings(Of(id).payload), "north=closed south=approved");
  EXPECT_EQ(north_.HeldMinor(), 0);
  EXPECT_TRUE(north_.books().at(Key(id, 1)).closed);
  EXPECT_EQ(south_.NetMinor(), 1250);
}

TEST_F(CapturedPaymentTest, APendingAuthorizationIsCapturedOnceItIsDecided) {
  north_.set_pending_until(time_.Now() + absl::Hours(1));
  north_.WillMeet({Fate::kPending});
  const Uuid id = Place();
  EXPECT_EQ(StatusIs(id), "AWAITING_PAYMENT");
  north_.Decide(Key(id, 1), true);
  ASSERT_TRUE(process_.runner
                  .AddSignal(id, {std::string(kChargePayment), saga::Direction::kDo, "pending-" + Key(id, 1),
                                  saga::Outcome::Succeeded()})
                  .ok());
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_EQ(Standings(Of(id).payload), "north=approved");
  EXPECT_EQ(north_.books().at(Key(id, 1)).charges, 1);
}

TEST_F(CapturedPaymentTest, AProcessThatTakesOverCapturesUnderTheSameKey) {
  north_.WillMeet({Fate::kAnswered, Fate::kLostAfter});
  const Uuid id = Start(process_);
  ASSERT_EQ(Standings(Of(id).payload), "north=authorized");
  process_.journal.set_error(absl::UnavailableError("crashed"));
  time_.Advance(absl::Seconds(11));
  Process other(*this, Definitions(), "b");
  EXPECT_EQ(other.runner.RecoverExpired(false, 10).value(), 1u);
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_EQ(north_.books().at(Key(id, 1)).charges, 1);
}

// A file that no longer says "later" begins orders as before, and goes on with those that began so.
TEST_F(CapturedPaymentTest, OrdersOfBothSortsAreBesideEachOther) {
  north_.WillMeet({Fate::kAnswered});
  north_.set_fate(Fate::kLostBefore);
  const Uuid held = Start(process_);
  north_.set_fate(Fate::kAnswered);
  Process plain(*this, Definitions(/*begins=*/false), "b");
  payments::Routes at_once = NorthCapturedLater();
  at_once.gateways[0].capture_later = false;
  router_.Use(at_once);
  const Uuid id = Start(plain);
  EXPECT_EQ(Of(id).version, kRoutedVersion);
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_FALSE(Of(id).payload.attempts[0].capture_later);
  time_.Advance(absl::Minutes(5));
  EXPECT_EQ(StatusIs(held), "CONFIRMED");
  EXPECT_EQ(north_.NetMinor(), 2500);
}

TEST_F(CapturedPaymentTest, AGatewayThatCannotAuthorizeCostsTimeAndNoMoney) {
  BuiltinGateway without;
  PaymentRouting routing(router_, {{"north", &without}, {"south", &south_}}, time_, metrics_);
  process_.kinds = saga::Kinds({PlaceCapturedOrder(routing, dispatch_, time_, true, options_)});
  const Uuid id = Place();
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_EQ(Standings(Of(id).payload), "north=closed south=approved");
  EXPECT_EQ(south_.NetMinor(), 1250);
}

TEST_F(CapturedPaymentTest, CallsAreCountedByGateway) {
  Place();
  north_.WillMeet({Fate::kAnswered, Fate::kDeclined});
  Place();
  const std::string text = metrics_.ToText();
  EXPECT_THAT(text, HasSubstr("waybill_gateway_calls_total{gateway=\"north\",outcome=\"authorized\"} 2"));
  EXPECT_THAT(text, HasSubstr("waybill_gateway_calls_total{gateway=\"north\",outcome=\"captured\"} 1"));
  EXPECT_THAT(text, HasSubstr("waybill_gateway_calls_total{gateway=\"north\",outcome=\"capture_refused\"} 1"));
}

}  // namespace
}  // namespace waybill::order
