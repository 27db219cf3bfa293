// The fuzz target over seeds and their mutations, so that every test run walks it.
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/random.h"
#include "services/order/intake.h"
#include "waybill/ops/v1/ops.pb.h"
#include "waybill/order/v1/order.pb.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace waybill::order {
namespace {

void RunTarget(const std::string& input) {
  EXPECT_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size()), 0);
}

std::vector<std::string> Seeds() {
  v1::CreateOrderRequest create;
  create.set_idempotency_key("key-1");
  create.set_user_id("user'; DROP TABLE payments; --");
  create.mutable_amount()->set_minor_units(1250);
  create.mutable_amount()->set_currency("EUR");
  create.mutable_pickup()->set_latitude(52.5);
  create.mutable_pickup()->set_longitude(13.4);
  (*create.mutable_metadata())["note"] = "ring twice";
  v1::CreateOrderRequest good = create;
  good.set_user_id("user-1");
  v1::CreateOrderRequest odd = good;
  odd.mutable_pickup()->set_latitude(std::numeric_limits<double>::quiet_NaN());
  odd.mutable_amount()->set_minor_units(std::numeric_limits<int64_t>::min());
  v1::CreateOrderRequest huge = good;
  for (int i = 0; i < 100; ++i)
    (*huge.mutable_metadata())[std::string(65, 'k') + std::to_string(i)] = std::string(600, 'v');
  v1::ListOrdersRequest list;
  list.set_page_size(10);
  list.set_user_id("user-1");
  list.add_statuses(v1::CONFIRMED);
  list.mutable_created_from()->set_seconds(1'800'000'000);
  ops::v1::ListSagasRequest sagas;
  sagas.add_states(ops::v1::COMPENSATING);
  sagas.mutable_min_age()->set_seconds(60);
  sagas.set_page_token(MakePageToken(Uuid(), "x"));
  ops::v1::SignalSagaRequest signal;
  signal.set_saga_id(Uuid().ToString());
  signal.set_step("charge_payment");
  signal.set_token("pi_1");
  signal.set_outcome(ops::v1::SignalSagaRequest::REJECTED);
  signal.set_reason("PAYMENT_DECLINED");
  signal.set_detail(std::string(512, 'd'));
  signal.set_operator_("ada");
  std::vector<std::string> seeds = {""};
  for (const auto* message : {&create, &good, &odd, &huge}) {
    seeds.push_back('\0' + message->SerializeAsString());
    seeds.push_back('\1' + message->SerializeAsString());
  }
  seeds.push_back('\2' + list.SerializeAsString());
  seeds.push_back('\3' + sagas.SerializeAsString());
  seeds.push_back('\5' + signal.SerializeAsString());
  for (const std::string& text :
       {MakePageToken(Uuid(), "filter"), Uuid().ToString(), std::string("\xf0\x9f\x9a\x95"), std::string(700, 'x'),
        std::string("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")}) {
    seeds.push_back('\4' + text);
  }
  return seeds;
}

TEST(OrderRequestFuzz, TakesSeeds) {
  for (const std::string& seed : Seeds()) RunTarget(seed);
}

TEST(OrderRequestFuzz, TakesMutatedSeeds) {
  constexpr int kRounds = 30'000;
  SeededRandom random(20'240'601);
  const std::vector<std::string> seeds = Seeds();
  for (int round = 0; round < kRounds; ++round) {
    std::string input = seeds[random.Next() % seeds.size()];
    for (uint64_t changes = random.Next() % 8; changes > 0; --changes) {
      const size_t at = input.empty() ? 0 : random.Next() % input.size();
      switch (random.Next() % 5) {
        case 0:
          if (!input.empty()) input[at] = static_cast<char>(random.Next());
          break;
        case 1:
          if (!input.empty()) input[at] ^= static_cast<char>(1 << random.Next() % 8);
          break;
        case 2:
          input.insert(at, 1 + random.Next() % 4, static_cast<char>(random.Next()));
          break;
        case 3:
          input.erase(at, 1 + random.Next() % 4);
          break;
        case 4: {
          const std::string& other = seeds[random.Next() % seeds.size()];
          input.insert(at, other.substr(other.empty() ? 0 : random.Next() % other.size(), random.Next() % 64));
          break;
        }
      }
    }
    RunTarget(input);
  }
}

}  // namespace
}  // namespace waybill::order
