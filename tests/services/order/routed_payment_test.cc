// Orders through two gateways: when an order goes on to the next one, and when it must not.
#include "services/order/routed_payment.h"

#include <algorithm>
#include <map>
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
#include "services/order/order_status.h"
#include "services/order/place_order.h"
#include "services/order/testing/fake_dispatch.h"
#include "services/order/testing/fake_payment_gateway.h"
#include "storage/testing/memory_order_book.h"
#include "tests/saga/processes.h"
#include "tests/services/order/two_gateways_test.h"
#include "tests/support/long_forms.h"

namespace waybill::order {
namespace {

using ::testing::ElementsAre;
using testing::Fate;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

payments::Gateway GatewayNamed(std::string name, int64_t cost_ppm) {
  payments::Gateway gateway;
  gateway.name = std::move(name);
  gateway.cost_ppm = cost_ppm;
  return gateway;
}

// north is cheaper, and asked first.
payments::Routes NorthThenSouth() { return {{GatewayNamed("north", 1), GatewayNamed("south", 2)}, {}}; }

std::string Attempts(const domain::Order& order) {
  std::string text;
  for (const domain::PaymentAttempt& attempt : order.attempts) {
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", attempt.gateway, domain::Name(attempt.state));
  }
  return text;
}

class RoutedPaymentTest : public TwoGatewaysTest {
 protected:
  RoutedPaymentTest() : TwoGatewaysTest(NorthThenSouth()) {}

  Uuid Place() { return TwoGatewaysTest::Place(process_); }
  void Cancel(const Uuid& id) { TwoGatewaysTest::Cancel(process_, id); }
  std::vector<std::string> Details(const Uuid& id) {
    std::vector<std::string> details;
    for (const saga::LogEntry& entry : book_.rows.at(id).log) {
      if (entry.step == kChargePayment)
        details.push_back(fmt::format("{}: {}", saga::Name(entry.outcome), entry.detail));
    }
    return details;
  }
  static int64_t Net(testing::FakePaymentGateway& gateway) { return gateway.NetMinor(); }

  Process process_{*this, {PlaceRoutedOrder(routing_, dispatch_, time_, options_)}, "a"};
};

TEST_F(RoutedPaymentTest, TheFirstGatewayThatApprovesIsTheOnlyOne) {
  const Uuid id = Place();
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_EQ(Attempts(Of(id).payload), "north=approved");
  EXPECT_EQ(Of(id).version, kRoutedVersion);
  EXPECT_EQ(north_.books().at(id.ToString() + "/charge_payment").charges, 1);
  EXPECT_THAT(south_.books(), IsEmpty());
  EXPECT_THAT(Details(id), ElementsAre("succeeded: north"));
}

TEST_F(RoutedPaymentTest, ACallThatWasNeverSentGoesOnAtOnce) {
  north_.set_fate(Fate::kNotSent);
  const Uuid id = Start(process_);
  EXPECT_EQ(StatusIs(id), "CONFIRMED") << "without waiting";
  EXPECT_EQ(Attempts(Of(id).payload), "north=not_sent south=approved");
  EXPECT_EQ(south_.books().at(id.ToString() + "/charge_payment/2").charges, 1);
  EXPECT_THAT(north_.books(), IsEmpty()) << "not even closed";
  EXPECT_THAT(Details(id), ElementsAre(HasSubstr("again: north: NOT_SENT"), "succeeded: south"));
}

TEST_F(RoutedPaymentTest, ARetryableDeclineGoesOnAndAnotherDeclineDoesNot) {
  north_.WillMeet({Fate::kDeclinedRetryable, Fate::kDeclined});
  const Uuid elsewhere = Place(), failed = Place();
  EXPECT_EQ(StatusIs(elsewhere), "CONFIRMED");
  EXPECT_EQ(Attempts(Of(elsewhere).payload), "north=declined south=approved");
  EXPECT_EQ(StatusIs(failed), "FAILED");
  EXPECT_EQ(Attempts(Of(failed).payload), "north=declined");
  EXPECT_EQ(Of(failed).failure.reason, kPaymentDeclined);
  EXPECT_EQ(Net(north_), 0);
  EXPECT_EQ(Net(south_), 1250);
}

TEST_F(RoutedPaymentTest, WhenAllDeclineTheOrderFails) {
  north_.set_fate(Fate::kDeclinedRetryable);
  south_.set_fate(Fate::kDeclinedRetryable);
  const Uuid id = Place();
  EXPECT_EQ(StatusIs(id), "FAILED");
  EXPECT_EQ(Attempts(Of(id).payload), "north=declined south=declined");
  EXPECT_EQ(Of(id).failure.reason, kPaymentDeclined);
}

TEST_F(RoutedPaymentTest, AnUnknownAttemptIsAskedAgainAndThenItsKeyIsClosed) {
  north_.WillMeet({Fate::kLostBefore, Fate::kLostBefore, Fate::kLostBefore});
  const Uuid id = Place();
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_EQ(Attempts(Of(id).payload), "north=closed south=approved");
  EXPECT_TRUE(north_.books().at(Key(id, 1)).closed);
  EXPECT_THAT(
      Details(id),
      ElementsAre(HasSubstr("unknown: PAYMENT_UNKNOWN: north: "), HasSubstr("unknown: PAYMENT_UNKNOWN: north: "),
                  HasSubstr("its key is to be closed"), HasSubstr("again: north: never charged"), "succeeded: south"));
}

TEST_F(RoutedPaymentTest, AnUnknownAttemptThatIsHeardOfInTimeStays) {
  north_.WillMeet({Fate::kLostAfter, Fate::kLostAfter});
  const Uuid id = Place();
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_EQ(Attempts(Of(id).payload), "north=approved");
  EXPECT_EQ(Net(north_), 1250);
}

TEST_F(RoutedPaymentTest, WhatWasTakenUnheardIsGivenBackBeforeAnotherTakesIt) {
  north_.WillMeet({Fate::kLostAfter, Fate::kLostAfter, Fate::kLostAfter});
  const Uuid id = Place();
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_EQ(Attempts(Of(id).payload), "north=refunded south=approved");
  EXPECT_EQ(Net(north_), 0);
  EXPECT_EQ(north_.books().at(Key(id, 1)).charges, 1);
  EXPECT_EQ(Net(south_), 1250);
}

TEST_F(RoutedPaymentTest, WhileAKeyIsNotClosedNoOtherGatewayIsAsked) {
  north_.set_fate(Fate::kUnavailable);
  const Uuid id = Place();
  EXPECT_THAT(south_.books(), IsEmpty());
  EXPECT_EQ(StatusIs(id), "COMPENSATING");
  EXPECT_TRUE(Of(id).needs_attention);
  north_.set_fate(Fate::kAnswered);
  time_.Advance(absl::Minutes(5));
  EXPECT_EQ(StatusIs(id), "FAILED");
  EXPECT_EQ(Attempts(Of(id).payload), "north=closed");
}

TEST_F(RoutedPaymentTest, AGatewayThatIsOutIsNotAskedAgain) {
  for (int i = 0; i < 4; ++i) {
    router_.Failed("north");
    time_.Advance(absl::Milliseconds(150));
  }
  north_.WillMeet({Fate::kLostAfter});  // the fifth
  const Uuid id = Place();
  EXPECT_EQ(Attempts(Of(id).payload), "north=refunded south=approved");
  EXPECT_THAT(Details(id), ElementsAre(HasSubstr("its key is to be closed"), HasSubstr("charged and given back"),
                                       "succeeded: south"));
}

TEST_F(RoutedPaymentTest, ADeclineInDoubtProvesNothingAndItsKeyIsClosedFirst) {
  // The first call is charged and not heard of; then comes a decline, against the contract.
  north_.WillMeet({Fate::kLostAfter, Fate::kRefused});
  const Uuid id = Place();
  EXPECT_EQ(StatusIs(id), "FAILED");
  EXPECT_EQ(Attempts(Of(id).payload), "north=refunded");
  EXPECT_EQ(Net(north_), 0);

  north_.WillMeet({Fate::kLostBefore, Fate::kDeclinedRetryable});
  const Uuid other = Place();
  EXPECT_EQ(StatusIs(other), "CONFIRMED");
  EXPECT_EQ(Attempts(Of(other).payload), "north=closed south=approved");
}

TEST_F(RoutedPaymentTest, ACallThatWasNotSentAfterOneInDoubtProvesNothing) {
  north_.WillMeet({Fate::kLostAfter, Fate::kNotSent, Fate::kAnswered});
  const Uuid id = Place();
  EXPECT_EQ(Attempts(Of(id).payload), "north=approved");
  EXPECT_THAT(south_.books(), IsEmpty());
}

TEST_F(RoutedPaymentTest, ANeverSentOrderFailsCleanWhenThereIsNoOtherGateway) {
  router_.Use({{"south", true, std::nullopt}});
  north_.set_fate(Fate::kNotSent);
  const Uuid id = Place();
  EXPECT_EQ(StatusIs(id), "FAILED");
  EXPECT_EQ(Attempts(Of(id).payload), "north=not_sent");
  EXPECT_THAT(north_.books(), IsEmpty());
}

TEST_F(RoutedPaymentTest, ANeverSentOrderGoesOnWhenAnotherGatewayComesBack) {
  while (!router_.IsOut("south")) {
    time_.Advance(absl::Milliseconds(150));
    router_.Failed("south");
  }
  north_.set_fate(Fate::kNotSent);
  const Uuid id = Start(process_);
  time_.Advance(absl::Seconds(3));
  EXPECT_EQ(StatusIs(id), "PENDING");
  for (int i = 0; i < 3; ++i) router_.Answered("south", absl::Milliseconds(1));
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(Attempts(Of(id).payload), "north=not_sent south=approved");
}

TEST_F(RoutedPaymentTest, APendingChargeStaysWithItsGateway) {
  north_.set_pending_until(time_.Now() + absl::Hours(1));
  north_.WillMeet({Fate::kPending});
  const Uuid id = Place();
  EXPECT_EQ(Attempts(Of(id).payload), "north=pending");
  north_.set_fate(Fate::kLostAfter);
  north_.Decide(Key(id, 1), true);
  ASSERT_TRUE(process_.runner
                  .AddSignal(id, {std::string(kChargePayment), saga::Direction::kDo, "pending-" + Key(id, 1),
                                  saga::Outcome::Succeeded()})
                  .ok());
  time_.Advance(absl::Seconds(20));
  EXPECT_THAT(south_.books(), IsEmpty());
  north_.set_fate(Fate::kAnswered);
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(Attempts(Of(id).payload), "north=approved");
  EXPECT_EQ(Net(north_), 1250);
}

TEST_F(RoutedPaymentTest, TheMoneyIsGivenBackByTheGatewayOfTheLastAttempt) {
  north_.WillMeet({Fate::kDeclinedRetryable});
  const Uuid id = Place();
  Cancel(id);
  EXPECT_EQ(StatusIs(id), "CANCELLED");
  EXPECT_EQ(Attempts(Of(id).payload), "north=declined south=refunded");
  EXPECT_EQ(south_.books().at(Key(id, 2)).refunds, 1);
  EXPECT_EQ(north_.books().at(Key(id, 1)).refunds, 0);
}

TEST_F(RoutedPaymentTest, AGatewayThatTheFileNoLongerHasNeedsAttentionAndNothingIsLost) {
  const Uuid id = Place();
  PaymentRouting only_south(router_, {{"south", &south_}}, time_, metrics_);
  Process other(*this, {PlaceRoutedOrder(only_south, dispatch_, time_, options_)}, "b");
  other.runner.Direct(id, {saga::Directive::Kind::kCancel, ""}, nullptr, [](auto) {});
  time_.Advance(absl::Minutes(5));
  EXPECT_EQ(StatusIs(id), "COMPENSATING");
  EXPECT_TRUE(Of(id).needs_attention);
  EXPECT_THAT(Details(id), ::testing::Contains("needs_attention: 8 attempts to undo failed"));
  EXPECT_THAT(Details(id)[1], HasSubstr("GATEWAY_MISSING: the gateways file has no \"north\""));
  EXPECT_THAT(south_.books(), IsEmpty());
  process_.runner.Direct(id, {saga::Directive::Kind::kRetry, ""}, nullptr, [](auto) {});
  time_.Advance(absl::Minutes(5));
  EXPECT_EQ(StatusIs(id), "CANCELLED");
  EXPECT_EQ(Net(north_), 0);
}

// Between its choice and its first call a gateway may go, since a person may look at the order for days.
TEST_F(RoutedPaymentTest, AGatewayThatIsGoneBeforeItWasAskedIsPassedOver) {
  PaymentRouting only_south(router_, {{"south", &south_}}, time_, metrics_);
  Process other(*this, {PlaceRoutedOrder(only_south, dispatch_, time_, options_)}, "b");
  const Uuid id = TwoGatewaysTest::Place(other);
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_EQ(Attempts(Of(id).payload), "north=not_sent south=approved");
  EXPECT_THAT(north_.books(), IsEmpty());
}

TEST_F(RoutedPaymentTest, WhereItsGatewayIsGoneAndThereIsNoOtherAnUnaskedOrderEnds) {
  PaymentRouting nobody(router_, {}, time_, metrics_);
  Process other(*this, {PlaceRoutedOrder(nobody, dispatch_, time_, options_)}, "b");
  router_.Use({{"south", true, std::nullopt}});
  const Uuid id = TwoGatewaysTest::Place(other);
  EXPECT_EQ(StatusIs(id), "FAILED");
  EXPECT_EQ(Attempts(Of(id).payload), "north=not_sent");
}

TEST_F(RoutedPaymentTest, AnOrderThatNoGatewayTakesFails) {
  router_.Use({{"north", true, std::nullopt}, {"south", true, std::nullopt}});
  const Uuid id = Place();
  EXPECT_EQ(StatusIs(id), "FAILED");
  EXPECT_EQ(Of(id).failure.reason, kNoGateway);
  EXPECT_EQ(Attempts(Of(id).payload), "");
}

TEST_F(RoutedPaymentTest, CallsAreCountedByGateway) {
  north_.WillMeet({Fate::kDeclinedRetryable, Fate::kNotSent, Fate::kLostBefore});
  for (int i = 0; i < 3; ++i) Place();
  const std::string text = metrics_.ToText();
  EXPECT_THAT(text, HasSubstr("waybill_gateway_calls_total{gateway=\"north\",outcome=\"declined\"} 1"));
  EXPECT_THAT(text, HasSubstr("waybill_gateway_calls_total{gateway=\"north\",outcome=\"not_sent\"} 1"));
  EXPECT_THAT(text, HasSubstr("waybill_gateway_calls_total{gateway=\"north\",outcome=\"unknown\"} 1"));
  EXPECT_THAT(text, HasSubstr("waybill_gateway_calls_total{gateway=\"south\",outcome=\"approved\"} 2"));
  EXPECT_THAT(text, HasSubstr("waybill_gateway_call_seconds_count{gateway=\"south\"} 2"));
  EXPECT_THAT(text, HasSubstr("waybill_gateway_outage_open{gateway=\"north\"} 0"));
}

// Processes that crash, gateways that lose, delay, decline and refuse, one seed; of gateways that capture later those
// in `later`.
class Months {
 public:
  Months(uint64_t seed, const std::vector<std::string>& later) : chance_(seed) {
    payments::Routes routes = NorthThenSouth();
    for (payments::Gateway& gateway : routes.gateways) {
      gateway.capture_later = std::find(later.begin(), later.end(), gateway.name) != later.end();
    }
    router_.Use(routes);
    options_.payment.retry_for = absl::Seconds(3);
    kinds_ = saga::Kinds({later.empty() ? PlaceRoutedOrder(routing_, dispatch_, time_, options_)
                                        : PlaceCapturedOrder(routing_, dispatch_, time_, true, options_)});
    processes_.emplace(book_, kinds_, time_, time_, chance_, 3);
    for (auto* gateway : {&north_, &south_}) {
      gateway->set_defer([this](auto task) {
        auto shared = std::make_shared<decltype(task)>(std::move(task));
        time_.At(time_.Steady() + chance_.Milliseconds(1, 800), [shared] { (*shared)(); });
      });
    }
  }

  void Run() {
    for (int i = 0; i < 20; ++i) time_.At(time_.Steady() + chance_.Milliseconds(0, 20'000), [this] { Start(); });
    for (int i = 0; i < 6; ++i) {
      time_.At(time_.Steady() + chance_.Milliseconds(0, 25'000), [this] { processes_->CrashAny(); });
    }
    for (int i = 0; i < 4; ++i) {
      time_.At(time_.Steady() + chance_.Milliseconds(0, 25'000), [this] {
        if (started_.empty()) return;
        processes_->Any().Direct(started_[chance_.Pick(started_.size())], {saga::Directive::Kind::kCancel, ""}, nullptr,
                                 [](auto) {});
      });
    }
    processes_->Housekeep();
    Weather();
    for (int events = 0; events < 200'000 && (time_.Steady() < start_ + absl::Minutes(1) || processes_->Unfinished());
         ++events) {
      if (!time_.RunNext()) break;
      CheckNets();
    }
  }

  std::string Verdict() {
    if (!wrong_.empty()) return wrong_;
    for (const auto& [id, row] : book_.rows) {
      const auto& order = saga::As<domain::Order>(*row.record);
      const std::string name =
          fmt::format("{} is {} ({})", id.ToString(), saga::Name(order.state), Attempts(order.payload));
      const int net = NetOf(id);
      if (saga::IsUnfinished(order.state)) return name + " for ever";
      if (net != (order.state == saga::State::kSucceeded ? 1 : 0))
        return fmt::format("{}, and {} times charged", name, net);
      for (const domain::PaymentAttempt& attempt : order.payload.attempts) {
        if (!domain::IsDecided(attempt.state)) return name + ", with an attempt left open";
        ++ends[std::string(domain::StandingOf(attempt))];
      }
      for (size_t at = 0; at + 1 < order.payload.attempts.size(); ++at) {
        if (!domain::IsOver(order.payload.attempts[at].state)) return name + ", and went on too early";
      }
    }
    if (north_.HeldMinor() + south_.HeldMinor() != 0) return "money is held for ever";
    return "";
  }

  std::map<std::string, int> ends;

 private:
  void Weather() {
    constexpr Fate kFates[] = {Fate::kAnswered,          Fate::kAnswered, Fate::kAnswered,    Fate::kDeclined,
                               Fate::kDeclinedRetryable, Fate::kNotSent,  Fate::kUnavailable, Fate::kLostBefore,
                               Fate::kLostAfter,         Fate::kSlow};
    const bool over = time_.Steady() > start_ + absl::Minutes(2);
    for (auto* gateway : {&north_, &south_}) {
      gateway->set_fate(over ? Fate::kAnswered : kFates[chance_.Pick(std::size(kFates))]);
      if (over || chance_.OneIn(3)) gateway->Land();
    }
    time_.At(time_.Steady() + chance_.Milliseconds(5, 700), [this] { Weather(); });
  }
  void Start() {
    auto record = std::make_unique<storage::OrderRecord>();
    record->id = ids_.Next();
    record->created_at = time_.Now();
    record->payload.client = "shop";
    record->payload.idempotency_key = record->id.ToString();
    record->payload.amount_minor = 1250;
    record->payload.currency = "EUR";
    routing_.Begin(record->payload, Capturing::kByGateway);
    started_.push_back(record->id);
    processes_->Any().Start(
        std::move(record), [](auto) {}, [](auto) {});
  }
  int NetOf(const Uuid& id) {
    int net = 0;
    for (auto* gateway : {&north_, &south_}) {
      for (const auto& [key, account] : gateway->books()) {
        if (key.starts_with(id.ToString())) net += account.charges - account.refunds;
      }
    }
    return net;
  }
  void CheckNets() {
    std::map<std::string, int> taken;  // or held, by order
    for (auto* gateway : {&north_, &south_}) {
      for (const auto& [key, account] : gateway->books()) {
        int& of = taken[key.substr(0, key.find('/'))];
        of += account.charges - account.refunds + (account.authorized_minor > 0 ? 1 : 0);
        if (of > 1) wrong_ = key + " is paid twice at a time";
      }
    }
  }

  waybill::testing::ManualTime time_;
  const SteadyTime start_ = time_.Steady();
  saga::testing::Chance chance_;
  IdGenerator ids_{time_, chance_.random};
  PlaceOrderOptions options_;
  storage::testing::MemoryOrderBook book_;
  testing::FakePaymentGateway north_, south_;
  testing::FakeDispatch dispatch_{{"d-1", "d-2", "d-3", "d-4", "d-5", "d-6", "d-7", "d-8", "d-9"}};
  Metrics metrics_;
  payments::Router router_{time_, chance_.random};
  PaymentRouting routing_{router_, {{"north", &north_}, {"south", &south_}}, time_, metrics_};
  saga::Kinds kinds_{{}};
  std::vector<Uuid> started_;
  std::string wrong_;
  std::optional<saga::testing::Processes> processes_;
};

TEST(RoutedPayment, IsPaidOnceAtMostWhateverHappens) {
  std::map<std::string, int> ends;
  const uint64_t seeds = waybill::testing::LongForms() ? 2'000 : 60;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    Months months(seed, {});
    months.Run();
    ASSERT_EQ(months.Verdict(), "") << "replay with seed " << seed;
    for (const auto& [state, count] : months.ends) ends[state] += count;
  }
  for (const std::string_view state : {"approved", "declined", "not_sent", "closed", "refunded"}) {
    EXPECT_GT(ends[std::string(state)], 0) << state;
  }
}

TEST(RoutedPayment, IsCapturedOnceAtMostAndHeldByNobodyInTheEnd) {
  std::map<std::string, int> ends;
  const uint64_t seeds = waybill::testing::LongForms() ? 2'000 : 60;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    Months months(seed, seed % 2 == 0 ? std::vector<std::string>{"north", "south"} : std::vector<std::string>{"north"});
    months.Run();
    ASSERT_EQ(months.Verdict(), "") << "replay with seed " << seed;
    for (const auto& [state, count] : months.ends) ends[state] += count;
  }
  for (const std::string_view state : {"approved", "declined", "not_sent", "closed", "refunded", "voided"}) {
    EXPECT_GT(ends[std::string(state)], 0) << state;
  }
}

}  // namespace
}  // namespace waybill::order
