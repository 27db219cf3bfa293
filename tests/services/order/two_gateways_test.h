// Orders through two gateways, north and south, over books in memory, on a clock that moves only when told to.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/ids.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/testing/manual_time.h"
#include "saga/runner.h"
#include "saga/testing/memory_journal.h"
#include "services/order/order_status.h"
#include "services/order/payment_routing.h"
#include "services/order/place_order.h"
#include "services/order/testing/fake_dispatch.h"
#include "services/order/testing/fake_payment_gateway.h"
#include "storage/testing/memory_order_book.h"

namespace waybill::order {

class TwoGatewaysTest : public ::testing::Test {
 protected:
  struct Process {
    Process(TwoGatewaysTest& test, std::vector<saga::Definition> definitions, const std::string& name)
        : kinds(std::move(definitions)),
          journal(test.book_, test.time_, {name, "1", absl::Seconds(10)}),
          runner(kinds, journal, test.time_, test.time_, test.random_, observer, {}) {}
    saga::Kinds kinds;
    saga::testing::MemoryJournal journal;
    saga::Observer observer;
    saga::Runner runner;
  };

  // `capturing`: as the process begins its orders.
  explicit TwoGatewaysTest(payments::Routes routes, Capturing capturing = Capturing::kAtOnce) : capturing_(capturing) {
    router_.Use(std::move(routes));
  }

  Uuid Start(Process& process) {
    auto record = std::make_unique<storage::OrderRecord>();
    record->id = ids_.Next();
    record->created_at = time_.Now();
    record->payload.client = "shop";
    record->payload.idempotency_key = record->id.ToString();
    record->payload.amount_minor = 1250;
    record->payload.currency = "EUR";
    routing_.Begin(record->payload, capturing_);
    const Uuid id = record->id;
    process.runner.Start(
        std::move(record), [](auto) {}, [](auto) {});
    return id;
  }
  Uuid Place(Process& process) {
    const Uuid id = Start(process);
    time_.Advance(absl::Minutes(5));
    return id;
  }
  void Cancel(Process& process, const Uuid& id) {
    process.runner.Direct(id, {saga::Directive::Kind::kCancel, ""}, nullptr, [](auto) {});
    time_.Advance(absl::Minutes(5));
  }
  const storage::OrderRecord& Of(const Uuid& id) { return saga::As<domain::Order>(*book_.rows.at(id).record); }
  std::string StatusIs(const Uuid& id) { return std::string(Name(StatusOf(Of(id)))); }
  static std::string Key(const Uuid& id, size_t number) { return domain::PaymentKey(id.ToString(), number); }

  const Capturing capturing_;
  waybill::testing::ManualTime time_;
  SeededRandom random_{1};
  IdGenerator ids_{time_, random_};
  PlaceOrderOptions options_;
  storage::testing::MemoryOrderBook book_;
  testing::FakePaymentGateway north_, south_;
  testing::FakeDispatch dispatch_{{"d-1", "d-2", "d-3"}};
  Metrics metrics_;
  payments::Router router_{time_, random_};
  PaymentRouting routing_{router_, {{"north", &north_}, {"south", &south_}}, time_, metrics_};
};

}  // namespace waybill::order
