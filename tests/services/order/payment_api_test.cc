// Payments without an order, through two gateways: taken once, charged once, and for as long as it takes.
#include "services/order/payment_api.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "saga/testing/memory_journal.h"
#include "services/order/take_payment.h"
#include "services/order/testing/fake_payment_gateway.h"
#include "tests/services/order/payment_world.h"

namespace waybill::order {
namespace {

using ::testing::Contains;
using testing::Fate;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr char kPaymentA[] = "4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3";
constexpr char kPaymentB[] = "0f2b1c3d-1111-4222-8333-444455556666";

class PaymentApiTest : public PaymentWorld {
 protected:
  PaymentApiTest() : PaymentWorld({{PaidAt("north", 1), PaidAt("south", 2)}, {}}) {}

  std::vector<saga::Definition> Definitions() { return {TakePayment(routing_, time_, retry_)}; }

  static absl::StatusOr<domain::Payment> Asked(const std::string& id, int64_t amount_minor = 1990,
                                               const std::string& client = "shop") {
    return TakeNewPayment(client, id, Money{amount_minor, "EUR"});
  }
  Result Take(const std::string& id, int64_t amount_minor = 1990, const std::string& client = "shop") {
    return *Ask(process_, Asked(id, amount_minor, client));
  }
  absl::StatusOr<storage::PaymentRecord> Get(const std::string& id, const std::string& client = "shop") {
    absl::StatusOr<storage::PaymentRecord> found = absl::UnknownError("not answered");
    process_.api.Get(client, id, [&](absl::StatusOr<storage::PaymentRecord> record) { found = std::move(record); });
    time_.Advance(absl::ZeroDuration());
    return found;
  }
  PaymentStatus StatusIs(const std::string& id) { return StatusOfPayment(Get(id).value()); }
  std::string Attempts(const std::string& id) {
    std::string text;
    const storage::PaymentRecord record = Get(id).value();
    for (const domain::PaymentAttempt& attempt : record.payload.attempts) {
      text += fmt::format("{}{}={}", text.empty() ? "" : " ", attempt.gateway, domain::Name(attempt.state));
    }
    return text;
  }
  static std::string Reason(const absl::Status& status) { return GetErrorDetail(status).reason; }
  int64_t Taken() const { return north_.NetMinor() + south_.NetMinor(); }

  Process process_{*this, Definitions(), "a"};
};

TEST_F(PaymentApiTest, IsAnsweredWhenItIsDurableAndChargedAfterThat) {
  north_.set_defer([this](auto task) { time_.At(time_.Steady() + absl::Seconds(1), std::move(task)); });
  const Result taken = Take(kPaymentA);
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_FALSE(taken->replayed);
  EXPECT_EQ(StatusOfPayment(taken->payment), PaymentStatus::kPending);
  EXPECT_EQ(Attempts(kPaymentA), "north=open") << "durable before anybody is called";
  time_.Advance(absl::Seconds(2));
  EXPECT_EQ(StatusIs(kPaymentA), PaymentStatus::kPaid);
  EXPECT_EQ(Attempts(kPaymentA), "north=approved");
  EXPECT_EQ(Taken(), 1990);
  EXPECT_EQ(process_.api.undecided(), 0u);
}

TEST_F(PaymentApiTest, ARepetitionIsAnsweredWithThePaymentAndChargesNothing) {
  const Result first = Take(kPaymentA), again = Take("4A7901B8-7D26-4D9D-AA19-4DC1C7CF60B3");
  ASSERT_TRUE(first.ok() && again.ok()) << again.status();
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(again->payment.id, first->payment.id);
  EXPECT_EQ(StatusOfPayment(again->payment), PaymentStatus::kPaid);
  const Result other = Take(kPaymentA, 1991);
  EXPECT_EQ(Reason(other.status()), "PAYMENT_ID_REUSED");
  EXPECT_THAT(GetErrorDetail(other.status()).metadata, Contains(Pair("fields", "amount.minor_units")));
  EXPECT_EQ(Taken(), 1990);
  EXPECT_EQ(process_.api.undecided(), 0u);
}

TEST_F(PaymentApiTest, AnIdIsItsClients) {
  ASSERT_TRUE(Take(kPaymentA, 1990, "shop").ok());
  const Result others = Take(kPaymentA, 250, "other");
  ASSERT_TRUE(others.ok()) << others.status();
  EXPECT_FALSE(others->replayed);
  EXPECT_EQ(Get(kPaymentA, "other")->payload.amount_minor, 250);
  EXPECT_EQ(Reason(Get(kPaymentA, "nobody").status()), "PAYMENT_NOT_FOUND");
  EXPECT_EQ(Taken(), 2240);
}

TEST_F(PaymentApiTest, GoesOnToAnotherGatewayByProofAlone) {
  north_.set_fate(Fate::kNotSent);
  ASSERT_TRUE(Take(kPaymentA).ok());
  EXPECT_EQ(Attempts(kPaymentA), "north=not_sent south=approved");
  north_.set_can_refund(false);
  north_.WillMeet({Fate::kLostAfter});
  north_.set_fate(Fate::kAnswered);
  ASSERT_TRUE(Take(kPaymentB).ok());
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(Attempts(kPaymentB), "north=approved") << "what is in doubt there stays there";
  EXPECT_EQ(Taken(), 2 * 1990);
}

// What was answered as taken is not given up because its gateway is away for an hour.
TEST_F(PaymentApiTest, WaitsForItsGatewayForAsLongAsItIsTold) {
  for (testing::FakePaymentGateway* gateway : {&north_, &south_}) {
    gateway->set_can_refund(false);
    gateway->set_fate(Fate::kUnavailable);
  }
  ASSERT_TRUE(Take(kPaymentA).ok());
  time_.Advance(absl::Hours(1));
  EXPECT_EQ(StatusIs(kPaymentA), PaymentStatus::kPending);
  EXPECT_EQ(process_.api.undecided(), 1u);
  EXPECT_LE(book_.rows.begin()->second.log.size(), 40u) << "however long it waits";
  north_.set_fate(Fate::kAnswered);
  south_.set_fate(Fate::kAnswered);
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(StatusIs(kPaymentA), PaymentStatus::kPaid);
  EXPECT_EQ(Taken(), 1990);
  EXPECT_EQ(process_.api.undecided(), 0u);
}

// Only one at a time explores a processor that is out: what is under way when it comes back is booked late.
TEST_F(PaymentApiTest, ThoseInDoubtLeaveAProcessorAloneThatIsOut) {
  router_.Use({{PaidAt("north", 1)}, {}});
  north_.set_can_refund(false);
  int calls = 0;
  north_.set_defer([&](auto task) {
    ++calls;
    task();
  });
  north_.set_fate(Fate::kUnavailable);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Take(fmt::format("00000000-0000-4000-8000-{:012}", i)).ok());
  time_.Advance(absl::Minutes(1));
  const int before = calls;
  time_.Advance(absl::Minutes(10));
  EXPECT_GE(calls - before, 10) << "it is explored";
  EXPECT_LE(calls - before, 21) << "twice a minute";
  north_.set_fate(Fate::kAnswered);
  time_.Advance(absl::Minutes(2));
  EXPECT_EQ(Taken(), 20 * 1990);
  EXPECT_EQ(process_.api.undecided(), 0u);
}

TEST_F(PaymentApiTest, IsGivenUpInTheEndWithNothingTaken) {
  north_.set_fate(Fate::kLostAfter);
  router_.Use({{PaidAt("north", 1)}, {}});
  ASSERT_TRUE(Take(kPaymentA).ok());
  time_.Advance(absl::Hours(25));
  EXPECT_EQ(StatusIs(kPaymentA), PaymentStatus::kTurningBack);
  north_.set_fate(Fate::kAnswered);
  time_.Advance(absl::Minutes(5));
  EXPECT_EQ(StatusIs(kPaymentA), PaymentStatus::kFailed);
  EXPECT_EQ(Get(kPaymentA)->failure.reason, "PAYMENT_UNKNOWN");
  EXPECT_EQ(Taken(), 0);
}

TEST_F(PaymentApiTest, ADeclinedOneHasFailed) {
  north_.set_fate(Fate::kDeclined);
  ASSERT_TRUE(Take(kPaymentA).ok());
  EXPECT_EQ(StatusIs(kPaymentA), PaymentStatus::kFailed);
  EXPECT_EQ(Get(kPaymentA)->failure.detail, "north: CARD_DECLINED");
}

TEST_F(PaymentApiTest, WaitsForThePayer) {
  north_.set_fate(Fate::kPending);
  north_.set_pending_until(time_.Now() + absl::Minutes(10));
  north_.set_checkout("https://pay.example/1", time_.Now() + absl::Hours(1));
  ASSERT_TRUE(Take(kPaymentA).ok());
  EXPECT_EQ(StatusIs(kPaymentA), PaymentStatus::kAwaitingPayer);
  const storage::PaymentRecord waiting = *Get(kPaymentA);
  EXPECT_EQ(waiting.payload.pending->checkout_url, "https://pay.example/1");
  EXPECT_EQ(process_.api.undecided(), 0u) << "nobody drives it";
}

TEST_F(PaymentApiTest, IsRefusedWhereNoGatewayTakesIt) {
  router_.Use(std::vector<storage::GatewaySetting>{{"north", true, {}}, {"south", true, {}}});
  EXPECT_EQ(Reason(Take(kPaymentA).status()), "NO_PAYMENT_GATEWAY");
  router_.Use(std::vector<storage::GatewaySetting>());
  ASSERT_TRUE(Take(kPaymentA).ok());
  router_.Use(std::vector<storage::GatewaySetting>{{"north", true, {}}, {"south", true, {}}});
  const Result again = Take(kPaymentA);
  ASSERT_TRUE(again.ok()) << "it is there: " << again.status();
  EXPECT_TRUE(again->replayed);
  Process unrouted(*this, Definitions(), "b", 10'000, /*routed=*/false);
  EXPECT_EQ(Reason(Ask(unrouted, Asked(kPaymentB))->status()), "NO_PAYMENT_GATEWAY");
  EXPECT_EQ(Taken(), 1990);
}

TEST_F(PaymentApiTest, LeavesHalfOfTheRoomToOrdersAndAnswersWhatItHas) {
  Process small(*this, Definitions(), "b", 2);
  north_.set_can_refund(false);
  north_.set_fate(Fate::kUnavailable);
  const auto take = [&](const char* id) { return *Ask(small, Asked(id)); };
  ASSERT_TRUE(take(kPaymentA).ok());
  const Result full = take(kPaymentB);
  EXPECT_EQ(Reason(full.status()), "QUEUE_FULL");
  EXPECT_TRUE(absl::IsResourceExhausted(full.status()));
  EXPECT_GT(GetErrorDetail(full.status()).retry_after, absl::ZeroDuration());
  EXPECT_TRUE(take(kPaymentA)->replayed);
  north_.set_fate(Fate::kAnswered);
  time_.Advance(absl::Minutes(1));
  EXPECT_TRUE(take(kPaymentB).ok());
  EXPECT_EQ(Taken(), 2 * 1990);
}

TEST_F(PaymentApiTest, SaysThatItMayExistWhenTheStoreDoesNotAnswerInTime) {
  std::vector<saga::testing::MemoryJournal::Task> writes;
  process_.journal.set_defer([&](auto task) { writes.push_back(std::move(task)); });
  const std::shared_ptr<Result> late = Ask(process_, Asked(kPaymentA), absl::Seconds(1));
  time_.Advance(absl::Seconds(1));
  EXPECT_EQ(Reason(late->status()), "STORE_UNAVAILABLE");
  process_.journal.set_defer(nullptr);
  for (auto& write : writes) write();
  time_.Advance(absl::Seconds(1));
  EXPECT_EQ(StatusIs(kPaymentA), PaymentStatus::kPaid) << "the wait ended, not the work";
}

TEST_F(PaymentApiTest, TakesNothingWhileItDrains) {
  process_.api.SetDraining();
  EXPECT_EQ(Reason(Take(kPaymentA).status()), "SHUTTING_DOWN");
  EXPECT_THAT(north_.books(), IsEmpty());
}

TEST(TakeNewPayment, NamesEveryFieldThatIsWrong) {
  const absl::Status wrong = TakeNewPayment("shop", "no id", Money{0, "EURO"}).status();
  EXPECT_EQ(GetErrorDetail(wrong).reason, "BAD_REQUEST");
  std::vector<std::string> fields;
  for (const auto& [field, why] : GetErrorDetail(wrong).violations) fields.push_back(field);
  EXPECT_THAT(fields, ::testing::ElementsAre("payment_id", "amount.minor_units", "amount.currency"));
  EXPECT_EQ(GetErrorDetail(TakeNewPayment("shop", kPaymentA, std::nullopt).status()).reason, "BAD_REQUEST");
  EXPECT_EQ(TakeNewPayment("", kPaymentA, Money{1, "EUR"})->client, "anonymous");
}

}  // namespace
}  // namespace waybill::order
