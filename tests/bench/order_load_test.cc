#include "bench/order_load.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "waybill/order/v1/order.grpc.pb.h"

namespace waybill::bench {
namespace {

namespace order_v1 = ::waybill::order::v1;
using testing::ElementsAre;
using testing::Pair;

// An order service in this process that answers whatever the test says, and remembers the keys.
class FakeOrders final : public order_v1::OrderService::Service {
 public:
  using Handler = std::function<grpc::Status(const order_v1::CreateOrderRequest&, order_v1::Order*)>;

  explicit FakeOrders(Handler handler) : handler_(std::move(handler)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }

  grpc::Status CreateOrder(grpc::ServerContext*, const order_v1::CreateOrderRequest* request,
                           order_v1::Order* order) override {
    {
      std::lock_guard lock(mutex_);
      keys_.insert(request->idempotency_key());
      in_flight_most_ = std::max(in_flight_most_, ++in_flight_);
      ++calls_;
      changed_.notify_all();
    }
    const grpc::Status status = handler_(*request, order);
    std::lock_guard lock(mutex_);
    --in_flight_;
    return status;
  }

  // Blocks a handler until `count` calls have come in.
  void AwaitCalls(int64_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return calls_ >= count; });
  }

  std::string target() const { return "127.0.0.1:" + std::to_string(port_); }
  std::set<std::string> keys() {
    std::lock_guard lock(mutex_);
    return keys_;
  }
  int64_t calls() {
    std::lock_guard lock(mutex_);
    return calls_;
  }
  int in_flight_most() {
    std::lock_guard lock(mutex_);
    return in_flight_most_;
  }

 private:
  Handler handler_;
  int port_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> keys_;
  int64_t calls_ = 0;
  int in_flight_ = 0;
  int in_flight_most_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

grpc::Status Confirm(const order_v1::CreateOrderRequest&, order_v1::Order* order) {
  order->set_status(order_v1::CONFIRMED);
  return grpc::Status::OK;
}

LoadOptions OptionsFor(const FakeOrders& service) {
  LoadOptions options;
  options.target = service.target();
  options.run = "run";
  return options;
}

TEST(OrderLoad, EveryOrderHasAKeyOfItsOwnAndOneAnswer) {
  FakeOrders service(Confirm);
  LoadOptions options = OptionsFor(service);
  options.callers = 8;
  options.threads = 2;
  options.orders_max = 1'000;
  SteadyTimer timer;
  const LoadResult result = OrderLoad(options, timer).Run({});
  EXPECT_EQ(service.calls(), 1'000);
  EXPECT_EQ(service.keys().size(), 1'000u);
  EXPECT_TRUE(service.keys().contains("run-0"));
  EXPECT_TRUE(service.keys().contains("run-999"));
  EXPECT_EQ(result.answered, 1'000);
  EXPECT_EQ(result.failed, 0);
  EXPECT_THAT(result.outcomes, ElementsAre(Pair("CONFIRMED", 1'000)));
}

TEST(OrderLoad, EverySecondThreadCallsTheOtherTarget) {
  FakeOrders service(Confirm), other(Confirm);
  LoadOptions options = OptionsFor(service);
  options.other_target = other.target();
  options.callers = 4;
  options.threads = 2;
  options.rate = 10'000;  // an open loop calls its threads in turn
  options.orders_max = 100;
  SteadyTimer timer;
  EXPECT_EQ(OrderLoad(options, timer).Run({}).answered, 100);
  EXPECT_EQ(service.calls(), 50);
  EXPECT_EQ(other.calls(), 50);
}

TEST(LoadResult, RoundsAreMergedAsIfTheyWereOneRun) {
  LoadResult result, round;
  result.outcomes = {{"CONFIRMED", 3}};
  result.answered = 3;
  result.latency.Record(absl::Milliseconds(1));
  result.window = absl::Seconds(1);
  round.outcomes = {{"CONFIRMED", 4}, {"INTERNAL bug", 1}};
  round.answered = 4;
  round.failed = 1;
  for (int i = 0; i < 3; ++i) round.latency.Record(absl::Milliseconds(2));
  round.window = absl::Seconds(3);
  result.Merge(round);
  EXPECT_THAT(result.outcomes, ElementsAre(Pair("CONFIRMED", 7), Pair("INTERNAL bug", 1)));
  EXPECT_EQ(result.answered, 7);
  EXPECT_EQ(result.failed, 1);
  EXPECT_DOUBLE_EQ(result.PerSecond(), 1);
}

TEST(OrderLoad, AClosedLoopKeepsItsCallersInFlight) {
  FakeOrders* fake = nullptr;
  FakeOrders service([&](const order_v1::CreateOrderRequest& request, order_v1::Order* order) {
    fake->AwaitCalls(4);  // none is answered before all four are there
    return Confirm(request, order);
  });
  fake = &service;
  LoadOptions options = OptionsFor(service);
  options.callers = 4;
  options.orders_max = 100;
  SteadyTimer timer;
  EXPECT_EQ(OrderLoad(options, timer).Run({}).answered, 100);
  EXPECT_EQ(service.in_flight_most(), 4);
}

TEST(OrderLoad, CountsErrorsByCodeAndReason) {
  FakeOrders service([](const order_v1::CreateOrderRequest& request, order_v1::Order* order) {
    if (request.idempotency_key() == "run-3") return grpc::Status(grpc::StatusCode::INTERNAL, "bug");
    if (request.idempotency_key() != "run-5") return Confirm(request, order);
    google::rpc::ErrorInfo info;
    info.set_reason("QUEUE_FULL");
    google::rpc::Status detail;
    detail.add_details()->PackFrom(info);
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "busy", detail.SerializeAsString());
  });
  LoadOptions options = OptionsFor(service);
  options.callers = 2;
  options.rate = 10'000;
  options.orders_max = 10;
  SteadyTimer timer;
  const LoadResult result = OrderLoad(options, timer).Run({});
  EXPECT_THAT(result.outcomes,
              ElementsAre(Pair("CONFIRMED", 8), Pair("INTERNAL bug", 1), Pair("RESOURCE_EXHAUSTED QUEUE_FULL", 1)));
  EXPECT_EQ(result.answered, 8);
  EXPECT_EQ(result.failed, 2);
  EXPECT_EQ(result.latency.count(), 8) << "a refusal is no latency";
}

// The server stands still during the first call; with one call in flight at a time, the others can only start after it.
// Their latency counts from when they should have.
TEST(OrderLoad, AnOpenLoopDoesNotHideAStall) {
  constexpr absl::Duration kStall = absl::Milliseconds(200);
  SteadyTimer timer;
  FakeOrders service([&](const order_v1::CreateOrderRequest& request, order_v1::Order* order) {
    if (request.idempotency_key() == "run-0") timer.SleepUntil(timer.Now() + kStall);
    return Confirm(request, order);
  });
  LoadOptions options = OptionsFor(service);
  options.callers = 1;
  options.rate = 1'000;
  options.orders_max = 100;
  const LoadResult result = OrderLoad(options, timer).Run({});
  EXPECT_EQ(result.answered, 100);
  EXPECT_GE(result.latency.Quantile(0.01), kStall - absl::Milliseconds(100)) << "the last was due 99 ms in";
  EXPECT_GE(result.latency.Quantile(0.9), kStall - absl::Milliseconds(20));
}

TEST(OrderLoad, MeasuresOnlyTheWindowAndTellsWhenItStartsAndEnds) {
  FakeOrders service(Confirm);
  LoadOptions options = OptionsFor(service);
  options.callers = 1;
  options.rate = 200;
  options.warm_up = absl::Milliseconds(100);
  options.duration = absl::Milliseconds(200);
  SteadyTimer timer;
  OrderLoad::Hooks hooks;
  std::string story;
  hooks.window_starts = [&] { story += "start "; };
  hooks.window_ends = [&] { story += "end"; };
  const LoadResult result = OrderLoad(options, timer).Run(hooks);
  EXPECT_EQ(story, "start end");
  EXPECT_EQ(result.answered, 60);
  EXPECT_EQ(result.latency.count(), 40);
  EXPECT_EQ(result.window, absl::Milliseconds(200));
  EXPECT_DOUBLE_EQ(result.PerSecond(), 200);
}

TEST(OrderLoad, StopEndsARunWithoutEnd) {
  OrderLoad* running = nullptr;
  FakeOrders service([&](const order_v1::CreateOrderRequest& request, order_v1::Order* order) {
    if (request.idempotency_key() == "run-10") running->Stop();
    return Confirm(request, order);
  });
  LoadOptions options = OptionsFor(service);
  options.callers = 1;
  SteadyTimer timer;
  OrderLoad load(options, timer);
  running = &load;
  EXPECT_EQ(load.Run({}).answered, 11);
}

TEST(OrderLoad, AServerThatIsNotThereShowsInTheOutcomes) {
  LoadOptions options;
  {
    FakeOrders gone(Confirm);
    options = OptionsFor(gone);
  }
  options.callers = 1;
  options.orders_max = 2;
  options.connect_timeout = absl::Milliseconds(1);
  SteadyTimer timer;
  const LoadResult result = OrderLoad(options, timer).Run({});
  EXPECT_EQ(result.failed, 2);
  EXPECT_EQ(result.answered, 0);
}

}  // namespace
}  // namespace waybill::bench
