#include "services/order/testing/fake_payout_gateway.h"

#include "tests/services/order/payout_contract.h"

namespace waybill::order {
namespace {

using testing::Fate;

struct FakePayoutWorld {
  testing::FakePayoutGateway fake;
  PayoutGateway& gateway() { return fake; }
  void RefuseNext() { fake.WillMeet({Fate::kDeclined}); }
  void LoseNextAnswer() { fake.WillMeet({Fate::kLostAfter}); }
  void SlowNext() { fake.WillMeet({Fate::kSlow}); }
  void Land() { fake.Land(); }
  void PendNext() {  // all of them; the first answer is repeated
    fake.set_pending_until(absl::Now() + absl::Hours(1));
    fake.set_fate(Fate::kPending);
  }
  void Behave() { fake.set_fate(Fate::kAnswered); }
  void Decide(const std::string& key, bool pay) { fake.Decide(key, pay); }
  int64_t PaidMinor() { return fake.PaidMinor(); }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Fake, PayoutGatewayContract, FakePayoutWorld);

}  // namespace
}  // namespace waybill::order
