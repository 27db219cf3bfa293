#include "webhooks/event.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "services/order/order_status.h"
#include "storage/order_record.h"

namespace waybill::webhooks {
namespace {

using storage::OrderRecord;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

OrderRecord MakeOrder(saga::State state, const std::string& failure = "") {
  OrderRecord record;
  record.id = *Uuid::Parse("019c2c80-0d5e-7cc3-a1ff-6f1b8a4f2a55");
  record.state = state;
  record.seq = 2;
  record.failure = {failure, failure.empty() ? "" : "because"};
  record.updated_at = absl::FromUnixMicros(1'770'000'000'123'456);
  record.payload.client = "shop";
  record.payload.idempotency_key = "k-1";
  record.payload.user_id = "user-1";
  record.payload.amount_minor = 1250;
  record.payload.currency = "KWD";
  return record;
}

std::vector<std::string> TypesOf(const OrderRecord& record) {
  std::vector<std::string> types;
  for (const Event& event : EventsOf(record)) types.emplace_back(event.type);
  return types;
}

TEST(WebhookEvent, TellsWhatAWriteOfAnOrderMeans) {
  EXPECT_THAT(TypesOf(MakeOrder(saga::State::kRunning)), IsEmpty());
  EXPECT_THAT(TypesOf(MakeOrder(saga::State::kCompensating, "NO_DRIVER_AVAILABLE")), IsEmpty());
  EXPECT_THAT(TypesOf(MakeOrder(saga::State::kSucceeded)), ElementsAre("order.confirmed"));
  EXPECT_THAT(TypesOf(MakeOrder(saga::State::kClosing)), ElementsAre("order.completed"));
  EXPECT_THAT(TypesOf(MakeOrder(saga::State::kClosed)), ElementsAre("order.completed"));
  EXPECT_THAT(TypesOf(MakeOrder(saga::State::kCompensated, "CANCELLED")), ElementsAre("order.cancelled"));
  EXPECT_THAT(TypesOf(MakeOrder(saga::State::kCompensated, "PAYMENT_DECLINED")), ElementsAre("order.failed"));
  EXPECT_THAT(TypesOf(MakeOrder(saga::State::kResolved, "PAYMENT_DECLINED")), ElementsAre("order.resolved"));
  OrderRecord paid = MakeOrder(saga::State::kSucceeded);
  paid.payload.effects.charged = true;
  EXPECT_THAT(TypesOf(paid), ElementsAre("payment.charged", "order.confirmed"));
  OrderRecord refunded = MakeOrder(saga::State::kCompensated, "CANCELLED");
  refunded.payload.effects.refunded = true;
  EXPECT_THAT(TypesOf(refunded), ElementsAre("payment.refunded", "order.cancelled"));
}

TEST(WebhookEvent, TellsOfMoneyThatIsHeldFirst) {
  OrderRecord record = MakeOrder(saga::State::kRunning);
  record.payload.attempts = {{"north"}};
  record.payload.effects.attempt_changed = 1;
  EXPECT_THAT(TypesOf(record), IsEmpty()) << "it is at the gateway";
  record.payload.attempts[0].authorization = domain::Authorization{record.updated_at, std::nullopt};
  EXPECT_THAT(TypesOf(record), ElementsAre("payment.authorized"));
  const nlohmann::json held = nlohmann::json::parse(EventsOf(record)[0].body)["data"]["payment"];
  EXPECT_EQ(held, nlohmann::json::parse(R"({"authorized_minor_units": 1250,
                                            "authorize_time": "2026-02-02T02:40:00.123456Z"})"));
  record.state = saga::State::kCompensated;
  record.failure = {"NO_DRIVER_AVAILABLE", ""};
  record.payload.attempts[0].state = domain::PaymentAttempt::State::kClosed;
  EXPECT_THAT(TypesOf(record), ElementsAre("payment.voided", "order.failed"));
  EXPECT_EQ(nlohmann::json::parse(EventsOf(record)[1].body)["data"]["payment"]["voided"], true);
  record.payload.effects.attempt_changed = 0;
  EXPECT_THAT(TypesOf(record), ElementsAre("order.failed"));
  record.state = saga::State::kSucceeded;
  record.payload.attempts[0].state = domain::PaymentAttempt::State::kApproved;
  record.payload.effects.attempt_changed = 1;
  record.payload.effects.charged = true;
  record.payload.charge = domain::Charge{"ch_1", 1250, record.updated_at};
  EXPECT_THAT(TypesOf(record), ElementsAre("payment.charged", "order.confirmed"));
}

TEST(WebhookEvent, HasAnIdOfItsOrderAndTypeWithoutADot) {
  EXPECT_EQ(EventsOf(MakeOrder(saga::State::kSucceeded))[0].id,
            "evt_019c2c80-0d5e-7cc3-a1ff-6f1b8a4f2a55_order_confirmed");
}

TEST(WebhookEvent, SaysAllThatAReceiverNeeds) {
  OrderRecord record = MakeOrder(saga::State::kSucceeded);
  record.payload.driver = domain::DriverSlot{"driver-7", 1};
  record.payload.charge = domain::Charge{"gw-1", 1250, record.updated_at};
  const nlohmann::json body = nlohmann::json::parse(EventsOf(record)[0].body);
  EXPECT_EQ(body, nlohmann::json::parse(R"({
    "type": "order.confirmed", "timestamp": "2026-02-02T02:40:00.123456Z", "version": 1,
    "data": {"order_id": "019c2c80-0d5e-7cc3-a1ff-6f1b8a4f2a55", "idempotency_key": "k-1", "user_id": "user-1",
             "status": "CONFIRMED", "sequence": 2,
             "amount": {"minor_units": 1250, "currency": "KWD", "exponent": 3}, "driver_id": "driver-7",
             "payment": {"gateway_reference": "gw-1", "charged_minor_units": 1250,
                         "charge_time": "2026-02-02T02:40:00.123456Z"}}})"));
}

TEST(WebhookEvent, SaysWhyAnOrderFailedAndWhatWasGivenBack) {
  OrderRecord record = MakeOrder(saga::State::kCompensated, "NO_DRIVER_AVAILABLE");
  record.payload.charge = domain::Charge{"gw-1", 1250, record.updated_at};
  record.payload.refund = domain::Refund{1250, record.updated_at};
  const nlohmann::json data = nlohmann::json::parse(EventsOf(record)[0].body)["data"];
  EXPECT_EQ(data["failure"]["reason"], "NO_DRIVER_AVAILABLE");
  EXPECT_EQ(data["payment"]["refunded_minor_units"], 1250);
  EXPECT_FALSE(data.contains("driver_id"));
}

// The body's words for the status are the API's.
TEST(WebhookEvent, NamesStatusesAsTheServiceDoes) {
  for (const std::string failure : {"", "CANCELLED", "PAYMENT_DECLINED"}) {
    for (const saga::State state :
         {saga::State::kSucceeded, saga::State::kClosing, saga::State::kClosed, saga::State::kCompensated,
          saga::State::kResolved, saga::State::kRunning, saga::State::kCompensating}) {
      OrderRecord record = MakeOrder(state, failure);
      record.payload.effects.charged = true;
      const nlohmann::json body = nlohmann::json::parse(EventsOf(record)[0].body);
      EXPECT_EQ(body["data"]["status"], std::string(order::Name(order::StatusOf(state, record.failure))));
    }
  }
}

TEST(WebhookEvent, IsMadeOfWhatIsNotUtf8Too) {
  OrderRecord record = MakeOrder(saga::State::kCompensated, "PAYMENT_DECLINED");
  record.failure.detail = "\xff\"\n";
  EXPECT_EQ(nlohmann::json::parse(EventsOf(record)[0].body)["data"]["failure"]["detail"], "\xef\xbf\xbd\"\n");
}

TEST(WebhookTypes, AreNamedOneByOneOrByFamily) {
  for (const std::string_view type : kEventTypes) EXPECT_TRUE(IsTypePattern(type)) << type;
  for (const char* pattern : {"*", "order.*", "payment.*"}) EXPECT_TRUE(IsTypePattern(pattern)) << pattern;
  for (const char* pattern : {"", "order", "order.", "payout.*", "order.c*", "%", "webhook.test"}) {
    EXPECT_FALSE(IsTypePattern(pattern)) << pattern;
  }
}

}  // namespace
}  // namespace waybill::webhooks
