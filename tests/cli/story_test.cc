#include "cli/story.h"

#include <string>

#include "gtest/gtest.h"

namespace waybill::cli {
namespace {

const absl::Time kStart = absl::FromUnixMillis(1'800'000'000'000);  // 2027-01-15T08:00:00Z

absl::Time At(int64_t millis) { return kStart + absl::Milliseconds(millis); }

OrderView Confirmed() {
  OrderView order;
  order.id = "01939f6e-0000-7000-8000-000000000001";
  order.key = "k-1";
  order.user = "u-17";
  order.amount_minor = 1250;
  order.currency = "EUR";
  order.pickup = domain::GeoPoint{52.52, 13.405};
  order.metadata = {{"gate", "7"}};
  order.status = "CONFIRMED";
  order.driver = "d-7";
  order.payment = PaymentView{"north", "gw-81", 1250, 0, At(12), std::nullopt};
  order.created = At(0);
  order.updated = At(20);
  order.log = {{0, "", 0, "accepted", "", "PENDING", At(0)},
               {1, "charge_payment", 1, "succeeded", "gw-81", "PENDING", At(12)},
               {2, "assign_driver", 2, "succeeded", "d-7, 410 m away", "CONFIRMED", At(1020)}};
  return order;
}

OrderView Refunded() {
  OrderView order = Confirmed();
  order.status = "FAILED";
  order.driver = "";
  order.pickup = std::nullopt;
  order.metadata.clear();
  order.failure_reason = "NO_DRIVER_AVAILABLE";
  order.failure_detail = "none within 5 km";
  order.payment = PaymentView{"", "gw-81", 1250, 1250, At(12), At(30)};
  order.log = {{0, "", 0, "accepted", "", "PENDING", At(0)},
               {1, "charge_payment", 1, "succeeded", "gw-81", "PENDING", At(12)},
               {2, "assign_driver", 1, "rejected", "NO_DRIVER_AVAILABLE: none within 5 km", "COMPENSATING", At(20)},
               {3, "charge_payment", 1, "undone", "", "FAILED", At(30)}};
  return order;
}

SagaView Stuck() {
  SagaView saga;
  saga.id = "01939f6e-0000-7000-8000-000000000001";
  saga.kind = "place_order";
  saga.state = "COMPENSATING";
  saga.step = "charge_payment";
  saga.attempt = 9;
  saga.failure_reason = "NO_DRIVER_AVAILABLE";
  saga.needs_attention = true;
  saga.owner = "host-a:4711";
  saga.epoch = 2;
  saga.lease_until = At(70'000);
  saga.created = At(0);
  saga.updated = At(50'000);
  saga.log = {{1, "charge_payment", 1, "undo_failed", "UNAVAILABLE", "COMPENSATING", At(100)}};
  return saga;
}

TEST(RenderOrder, TellsTheStoryOfAConfirmedOrder) {
  EXPECT_EQ(RenderOrder(Confirmed(), At(60'000), Terminal{}),
            R"(order 01939f6e-0000-7000-8000-000000000001  CONFIRMED
  user      u-17
  amount    12.50 EUR
  payment   12.50 EUR charged by north at 08:00:00.012 (reference gw-81)
  driver    d-7
  pickup    52.52000,13.40500
  key       k-1
  metadata  gate=7
  created   2027-01-15T08:00:00.000Z (1m 00s ago)

  #  time            after  step                       outcome    then       detail
  0  08:00:00.000           -                          accepted   PENDING
  1  08:00:00.012   +12 ms  charge_payment             succeeded  PENDING    gw-81
  2  08:00:01.020  +1.00 s  assign_driver (attempt 2)  succeeded  CONFIRMED  d-7, 410 m away

Charged 12.50 EUR, and driver d-7 has it.
)");
}

TEST(RenderOrder, TellsWhereTheMoneyIsOfOneThatWasTurnedBack) {
  EXPECT_EQ(RenderOrder(Refunded(), At(60'000), Terminal{}),
            R"(order 01939f6e-0000-7000-8000-000000000001  FAILED
  user     u-17
  amount   12.50 EUR
  payment  12.50 EUR charged at 08:00:00.012, 12.50 EUR refunded at 08:00:00.030 (reference gw-81)
  key      k-1
  created  2027-01-15T08:00:00.000Z (1m 00s ago)

  #  time           after  step            outcome    then          detail
  0  08:00:00.000          -               accepted   PENDING
  1  08:00:00.012  +12 ms  charge_payment  succeeded  PENDING       gw-81
  2  08:00:00.020   +8 ms  assign_driver   rejected   COMPENSATING  NO_DRIVER_AVAILABLE: none within 5 km
  3  08:00:00.030  +10 ms  charge_payment  undone     FAILED

Turned back (NO_DRIVER_AVAILABLE: none within 5 km). 12.50 EUR was charged, all of it went back.
)");
}

TEST(RenderOrder, TellsOfMoneyThatIsHeldFirst) {
  OrderView order = Confirmed();
  order.status = "PENDING";
  order.payment = PaymentView{.gateway = "north"};
  order.payment->authorized_minor = 1250;
  order.payment->authorized_at = At(12);
  order.payment->authorization_expires = At(7 * 86'400'000);
  const auto shown = [&] { return RenderOrder(order, At(60'000), Terminal{}); };
  EXPECT_NE(shown().find("  payment   12.50 EUR authorized by north at 08:00:00.012, until 2027-01-22T08:00:00.000Z\n"),
            std::string::npos)
      << shown();
  EXPECT_EQ(Verdict(order), "Under way: 12.50 EUR is held, and not charged yet.");
  order.status = "COMPENSATING";
  order.failure_reason = "NO_DRIVER_AVAILABLE";
  EXPECT_EQ(Verdict(order),
            "Being turned back (NO_DRIVER_AVAILABLE). Nothing was charged; what is held is to be let go.");
  order.status = "FAILED";
  order.payment->voided = true;
  EXPECT_NE(shown().find("  payment   12.50 EUR authorized by north at 08:00:00.012, voided\n"), std::string::npos)
      << shown();
  EXPECT_EQ(Verdict(order), "Turned back (NO_DRIVER_AVAILABLE). Nothing was charged: what was held is let go.");
  order.status = "CONFIRMED";
  order.payment->voided = false;
  order.payment->charged_minor = 1250;
  order.payment->charged_at = At(20);
  order.payment->gateway_reference = "gw-81";
  EXPECT_NE(shown().find("12.50 EUR authorized by north at 08:00:00.012, captured at 08:00:00.020 (reference gw-81)\n"),
            std::string::npos)
      << shown();
}

TEST(RenderOrder, FitsANarrowTerminalByWrappingTheDetail) {
  std::string text = RenderOrder(Refunded(), At(60'000), Terminal{false, 90});
  EXPECT_NE(text.find("COMPENSATING  NO_DRIVER_AVAILABLE:\n" + std::string(68, ' ') + "none within 5 km\n"),
            std::string::npos)
      << text;
}

TEST(RenderOrder, DisarmsWhatACallerPutIntoIt) {
  OrderView order = Confirmed();
  order.user = "\x1b]0;owned\x07";
  order.metadata = {{"note", "a\nb"}};
  order.driver = "\x1b[31m";
  std::string text = RenderOrder(order, At(60'000), Terminal{});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("note=a\\nb"), std::string::npos);
}

TEST(RenderOrder, ShowsFullTimesWhenItTookDays) {
  OrderView order = Confirmed();
  order.log[2].time = At(3 * 86'400'000);
  EXPECT_NE(RenderOrder(order, At(4 * 86'400'000), Terminal{}).find("2027-01-18T08:00:00.000Z  +2d 23h"),
            std::string::npos);
}

TEST(Verdict, SaysOfEveryStatusWhereTheMoneyIs) {
  OrderView order = Confirmed();
  order.status = "PENDING";
  EXPECT_EQ(Verdict(order), "Under way: 12.50 EUR charged, a driver is being looked for.");
  order.payment.reset();
  EXPECT_EQ(Verdict(order), "Under way: not charged yet.");

  order = Confirmed();
  order.status = "COMPLETED";
  EXPECT_EQ(Verdict(order), "Delivered; 12.50 EUR charged.");

  order = Refunded();
  order.status = "COMPENSATING";
  order.payment->refunded_minor = 0;
  order.needs_attention = true;
  EXPECT_EQ(Verdict(order),
            "Being turned back (NO_DRIVER_AVAILABLE: none within 5 km). 12.50 EUR was charged, none of it went back "
            "yet. It keeps "
            "failing: see `waybill saga show 01939f6e-0000-7000-8000-000000000001`.");

  order.status = "RESOLVED";
  EXPECT_EQ(Verdict(order),
            "Settled by hand (NO_DRIVER_AVAILABLE: none within 5 km). 12.50 EUR was charged, none of it went back.");

  order = Refunded();
  order.status = "CANCELLED";
  order.failure_reason = "CANCELLED";
  order.failure_detail = "";
  order.payment.reset();
  EXPECT_EQ(Verdict(order), "Cancelled (CANCELLED). Nothing was charged.");
}

TEST(RenderOrders, IsATable) {
  EXPECT_EQ(RenderOrders({Confirmed(), Refunded()}, At(192'000), Terminal{}),
            R"(order                                 status        amount  user  driver     age  why
01939f6e-0000-7000-8000-000000000001  CONFIRMED  12.50 EUR  u-17  d-7     3m 12s
01939f6e-0000-7000-8000-000000000001  FAILED     12.50 EUR  u-17          3m 12s  NO_DRIVER_AVAILABLE: none within 5 km
)");
}

TEST(RenderLogLine, StandsInFixedColumns) {
  OrderView order = Refunded();
  std::string text;
  std::optional<absl::Time> previous;
  for (const LogLine& line : order.log) {
    text += RenderLogLine(line, previous, Terminal{});
    previous = line.time;
  }
  EXPECT_EQ(text,
            R"(  0  08:00:00.000             -                           accepted         PENDING
  1  08:00:00.012     +12 ms  charge_payment              succeeded        PENDING       gw-81
  2  08:00:00.020      +8 ms  assign_driver               rejected         COMPENSATING  NO_DRIVER_AVAILABLE: none within 5 km
  3  08:00:00.030     +10 ms  charge_payment              undone           FAILED
)");
}

TEST(RenderSaga, ShowsTheLeaseAndWhatAnOperatorCanDo) {
  EXPECT_EQ(RenderSaga(Stuck(), At(60'000), Terminal{}),
            R"(saga 01939f6e-0000-7000-8000-000000000001  COMPENSATING
  kind         place_order, version 1
  stands at    charge_payment, attempt 9
  turned back  NO_DRIVER_AVAILABLE
  lease        host-a:4711 holds it until 2027-01-15T08:01:10.000Z (in 10.00 s)
  epoch        2
  created      2027-01-15T08:00:00.000Z (1m 00s ago)
  updated      2027-01-15T08:00:50.000Z (10.00 s ago)
  attention    needed

  #  time          after  step            outcome      then          detail
  1  08:00:00.100         charge_payment  undo_failed  COMPENSATING  UNAVAILABLE

It is still being retried. To try now: waybill saga retry 01939f6e-0000-7000-8000-000000000001
To end it by hand: waybill saga resolve 01939f6e-0000-7000-8000-000000000001 --reason TEXT
)");
}

TEST(RenderSaga, SaysSoWhenTheLeaseHasExpired) {
  EXPECT_NE(RenderSaga(Stuck(), At(90'000), Terminal{}).find("(expired 20.00 s ago)"), std::string::npos);
}

SagaView Waiting() {
  SagaView saga;
  saga.id = "01939f6e-0000-7000-8000-000000000002";
  saga.kind = "place_order";
  saga.state = "RUNNING";
  saga.step = "charge_payment";
  saga.attempt = 1;
  saga.epoch = 1;
  saga.waits = {{"charge_payment", "do", "pi_1234", At(7'200'000)}};
  saga.created = At(0);
  saga.updated = At(1'000);
  saga.log = {{1, "charge_payment", 1, "waiting", "for pi_1234", "RUNNING", At(100)}};
  return saga;
}

TEST(RenderSaga, ShowsWhatItWaitsForAndHowToSayIt) {
  EXPECT_EQ(RenderSaga(Waiting(), At(60'000), Terminal{}),
            R"(saga 01939f6e-0000-7000-8000-000000000002  RUNNING
  kind       place_order, version 1
  stands at  charge_payment, attempt 1
  waits for  a signal of its do with the token pi_1234, until 2027-01-15T10:00:00.000Z (in 1h 59m)
  epoch      1
  created    2027-01-15T08:00:00.000Z (1m 00s ago)
  updated    2027-01-15T08:00:01.000Z (59.00 s ago)

  #  time          after  step            outcome  then     detail
  1  08:00:00.100         charge_payment  waiting  RUNNING  for pi_1234

Nobody drives it meanwhile. To say by hand what became of it:
waybill saga signal 01939f6e-0000-7000-8000-000000000002 --step charge_payment --token=pi_1234 --outcome OUTCOME
)");
}

TEST(RenderSaga, AGatewaysTokenIsOneWordOfTheShell) {
  SagaView saga = Waiting();
  saga.waits[0].token = "a;$(reboot)'b";
  EXPECT_NE(RenderSaga(saga, At(60'000), Terminal{}).find(R"( --token='a;$(reboot)'\''b' --outcome)"),
            std::string::npos);
}

TEST(RenderSaga, SaysWhichActionWaits) {
  SagaView saga = Waiting();
  saga.waits[0].action = "undo";
  const std::string shown = RenderSaga(saga, At(60'000), Terminal{});
  EXPECT_NE(shown.find("a signal of its undo with the token"), std::string::npos);
  EXPECT_NE(shown.find(" --step charge_payment --action undo --token=pi_1234 "), std::string::npos);
}

TEST(RenderSagas, SaysWhenThoseThatWaitWake) {
  SagaView over = Waiting();
  over.waits[0].until = At(50'000);
  EXPECT_EQ(
      RenderSagas({Waiting(), over}, At(60'000), Terminal{}),
      R"(saga                                  kind         state    step            attempt  attention     age  wakes        owner  why
01939f6e-0000-7000-8000-000000000002  place_order  RUNNING  charge_payment        1             1m 00s  in 1h 59m
01939f6e-0000-7000-8000-000000000002  place_order  RUNNING  charge_payment        1             1m 00s  10.00 s ago
)");
}

TEST(RenderSagas, IsATable) {
  SagaView quiet = Stuck();
  quiet.needs_attention = false;
  EXPECT_EQ(
      RenderSagas({Stuck(), quiet}, At(60'000), Terminal{}),
      R"(saga                                  kind         state         step            attempt  attention     age  wakes  owner        why
01939f6e-0000-7000-8000-000000000001  place_order  COMPENSATING  charge_payment        9  yes        1m 00s         host-a:4711  NO_DRIVER_AVAILABLE
01939f6e-0000-7000-8000-000000000001  place_order  COMPENSATING  charge_payment        9             1m 00s         host-a:4711  NO_DRIVER_AVAILABLE
)");
}

}  // namespace
}  // namespace waybill::cli
