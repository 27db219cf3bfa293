// Payments without an order through two gateways, north and south, over books in memory, on a clock that moves only
// when told to.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/ids.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/testing/manual_time.h"
#include "runtime/testing/scheduled_executor.h"
#include "saga/retry_policy.h"
#include "saga/runner.h"
#include "saga/testing/memory_journal.h"
#include "services/order/payment_api.h"
#include "services/order/payment_routing.h"
#include "services/order/testing/fake_payment_gateway.h"
#include "storage/testing/fake_payment_store.h"
#include "storage/testing/memory_order_book.h"

namespace waybill::order {

class PaymentWorld : public ::testing::Test {
 protected:
  using Result = absl::StatusOr<PaymentApi::Answer>;

  // One of several on the same books. What its definitions refer to outlives it.
  struct Process {
    Process(PaymentWorld& world, std::vector<saga::Definition> definitions, const std::string& name,
            size_t live_max = 20'000, bool routed = true)
        : kinds(std::move(definitions)),
          journal(world.book_, world.time_, {name, "1", absl::Seconds(10)}),
          runner(kinds, journal, world.time_, world.time_, world.random_, observer, {.live_max = live_max}),
          api(runner, world.store_, world.workers_, world.time_, world.time_, world.ids_,
              routed ? &world.routing_ : nullptr, {.room_kept = live_max / 2}) {
      journal.set_kinds(&kinds);
    }
    saga::Kinds kinds;
    saga::testing::MemoryJournal journal;
    saga::Observer observer;
    saga::Runner runner;
    PaymentApi api;
  };

  explicit PaymentWorld(payments::Routes routes) { router_.Use(std::move(routes)); }

  static payments::Gateway PaidAt(std::string name, int64_t cost_ppm) {
    payments::Gateway gateway;
    gateway.name = std::move(name);
    gateway.cost_ppm = cost_ppm;
    return gateway;
  }

  std::shared_ptr<Result> Ask(Process& process, absl::StatusOr<domain::Payment> payment,
                              absl::Duration timeout = absl::InfiniteDuration()) {
    auto result = std::make_shared<Result>(absl::UnknownError("not answered"));
    EXPECT_TRUE(payment.ok()) << payment.status();
    process.api.Take(*std::move(payment), {}, time_.Steady() + timeout,
                     process.api.Expect([result](Result given) { *result = std::move(given); }));
    time_.Advance(absl::ZeroDuration());
    return result;
  }

  waybill::testing::ManualTime time_;
  SeededRandom random_{1};
  IdGenerator ids_{time_, random_};
  waybill::testing::ScheduledExecutor workers_{time_, time_, 1'000, [] { return absl::ZeroDuration(); }};
  saga::RetryPolicy retry_{.retry_for = absl::Hours(24)};
  storage::testing::MemoryOrderBook book_;
  storage::testing::FakePaymentStore store_{book_};
  testing::FakePaymentGateway north_, south_;
  Metrics metrics_;
  payments::Router router_{time_, random_};
  PaymentRouting routing_{router_, {{"north", &north_}, {"south", &south_}}, time_, metrics_};
};

}  // namespace waybill::order
