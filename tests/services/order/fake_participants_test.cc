#include "absl/time/clock.h"
#include "services/order/builtin_gateway.h"
#include "services/order/testing/fake_dispatch.h"
#include "services/order/testing/fake_payment_gateway.h"
#include "services/order/testing/mock_dispatch.h"
#include "services/order/testing/mock_payment_gateway.h"
#include "tests/services/order/participant_contract.h"

namespace waybill::order {
namespace {

using testing::Fate;

struct FakeGatewayWorld {
  testing::FakePaymentGateway fake;
  PaymentGateway& gateway() { return fake; }
  void DeclineNext() { fake.WillMeet({Fate::kDeclined}); }
  void LoseNextAnswer() { fake.WillMeet({Fate::kLostAfter}); }
  void SlowNext() { fake.WillMeet({Fate::kSlow}); }
  void Land() { fake.Land(); }
  void PendNext() {  // all of them; the first answer is repeated
    fake.set_pending_until(absl::Now() + absl::Hours(1));
    fake.set_fate(Fate::kPending);
  }
  void Decide(const std::string& key, bool approve) { fake.Decide(key, approve); }
  int64_t NetMinor() { return fake.NetMinor(); }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Fake, GatewayContract, FakeGatewayWorld);
INSTANTIATE_TYPED_TEST_SUITE_P(Fake, PendingGatewayContract, FakeGatewayWorld);
INSTANTIATE_TYPED_TEST_SUITE_P(Fake, SlowGatewayContract, FakeGatewayWorld);

// A mock that does what the fake does: it can stand in for it wherever the contract counts.
struct MockGatewayWorld : FakeGatewayWorld {
  MockGatewayWorld() {
    ON_CALL(mock, Charge).WillByDefault([this](const auto& call, const auto& order, auto done) {
      fake.Charge(call, order, std::move(done));
    });
    ON_CALL(mock, Authorize).WillByDefault([this](const auto& call, const auto& order, auto done) {
      fake.Authorize(call, order, std::move(done));
    });
    ON_CALL(mock, Capture).WillByDefault([this](const auto& call, const auto& order, auto done) {
      fake.Capture(call, order, std::move(done));
    });
    ON_CALL(mock, Refund).WillByDefault([this](const auto& call, const auto& order, auto done) {
      fake.Refund(call, order, std::move(done));
    });
    ON_CALL(mock, RefundPart).WillByDefault([this](const auto& call, const auto& part, auto done) {
      fake.RefundPart(call, part, std::move(done));
    });
  }
  ::testing::NiceMock<testing::MockPaymentGateway> mock;
  PaymentGateway& gateway() { return mock; }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Mock, GatewayContract, MockGatewayWorld);
INSTANTIATE_TYPED_TEST_SUITE_P(Mock, PendingGatewayContract, MockGatewayWorld);
INSTANTIATE_TYPED_TEST_SUITE_P(Mock, SlowGatewayContract, MockGatewayWorld);

struct FakeDispatchWorld {
  testing::FakeDispatch fake{{"ann"}};
  Dispatch& dispatch() { return fake; }
  void SlowNext() { fake.WillMeet({Fate::kSlow}); }
  void Land() { fake.Land(); }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Fake, DispatchContract, FakeDispatchWorld);

TEST(BuiltinGateway, ApprovesAndRefundsWhatTheOrderSaysWasCharged) {
  BuiltinGateway gateway;
  auto charged = ChargeNow(gateway, CallFor("a"), OrderOf(100));
  ASSERT_TRUE(charged.ok());
  ASSERT_TRUE(charged->approved());
  domain::Order order = OrderOf(100);
  EXPECT_EQ(RefundNow(gateway, CallFor("a"), order)->refunded_minor, 0);
  order.charge = domain::Charge{charged->approved()->reference, 100, absl::UnixEpoch()};
  auto refunded = RefundNow(gateway, CallFor("a"), order);
  EXPECT_EQ(refunded->refunded_minor, 100);
  EXPECT_EQ(refunded->charge_reference, charged->approved()->reference);
}

TEST(Mocks, StandInForTheInterfaces) {
  testing::MockPaymentGateway gateway;
  EXPECT_CALL(gateway, Charge).WillOnce([](const auto&, const auto&, auto done) { done(absl::UnavailableError("")); });
  EXPECT_FALSE(ChargeNow(gateway, CallFor("a"), OrderOf(1)).ok());
  testing::MockDispatch dispatch;
  EXPECT_CALL(dispatch, Release).WillOnce([](const auto&, const auto&, const auto&, auto done) {
    done(absl::OkStatus());
  });
  EXPECT_TRUE(ReleaseNow(dispatch, CallFor("a"), OrderOf(1)).ok());
}

}  // namespace
}  // namespace waybill::order
