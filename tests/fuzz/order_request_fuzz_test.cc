// The fuzz target over seeds and their mutations, so that every test run walks it.
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "services/order/intake.h"
#include "tests/fuzz/mutated.h"
#include "waybill/fleet/v1/fleet.pb.h"
#include "waybill/ops/v1/ops.pb.h"
#include "waybill/order/v1/order.pb.h"

namespace waybill::order {
namespace {

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
  fleet::v1::PutDriversRequest put;
  put.mutable_ttl()->set_seconds(60);
  for (int i = 0; i < 3; ++i) {
    fleet::v1::PutDriver& driver = *put.add_drivers();
    driver.set_driver_id("driver-1");
    driver.set_latitude(52.5);
    driver.set_heading_deg(90);
    driver.set_capacity(3);
  }
  fleet::v1::PutDriversRequest nobody;
  for (int i = 0; i < 1'000; ++i) nobody.add_drivers();
  std::vector<std::string> seeds = {""};
  for (const auto* message : {&create, &good, &odd, &huge}) {
    seeds.push_back('\0' + message->SerializeAsString());
    seeds.push_back('\1' + message->SerializeAsString());
  }
  seeds.push_back('\2' + list.SerializeAsString());
  seeds.push_back('\3' + sagas.SerializeAsString());
  seeds.push_back('\5' + signal.SerializeAsString());
  seeds.push_back('\6' + put.SerializeAsString());
  seeds.push_back('\6' + nobody.SerializeAsString());
  for (const std::string& text : {MakePageToken(Uuid(), "filter"), MakePageToken(uint64_t{7}, "filter"),
                                  Uuid().ToString(), std::string("\xf0\x9f\x9a\x95"), std::string(700, 'x'),
                                  std::string("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")}) {
    seeds.push_back('\4' + text);
  }
  return seeds;
}

TEST(OrderRequestFuzz, TakesSeeds) {
  for (const std::string& seed : Seeds()) testing::RunTarget(seed);
}

TEST(OrderRequestFuzz, TakesMutatedSeeds) { testing::RunTargetOverMutations(Seeds(), 30'000, 20'240'601); }

}  // namespace
}  // namespace waybill::order
