// What orders post at their end, with the built binaries: a driver earns, whatever is killed around the commit that
// completes an order, and what he has earned is paid out.
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/failpoint.h"
#include "tests/cli/run_binary.h"
#include "tests/e2e/stack.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr int64_t kAmount = 1'999, kCommission = 399, kShare = 1'600;  // at 20 %

class OrderEndsE2eTest : public ::testing::Test {
 protected:
  OrderEndsE2eTest() : replica_(stack_.AddReplica("a")) {
    replica_.Start();
    stack_.PutDrivers(1);
  }
  static StackOptions Options() {
    StackOptions options;
    options.payouts = true;
    options.order_args = {"--lease", "1500ms",   "--attempt-timeout",       "500ms", "--backoff",
                          "20ms",    "--ledger", "--ledger-commission-ppm", "200000"};
    return options;
  }
  // As clients do who want to know: again under the same key, whoever dies meanwhile.
  order::v1::Order Insist(const std::function<grpc::Status(grpc::ClientContext*, order::v1::Order*)>& call) {
    order::v1::Order order;
    EXPECT_TRUE(Eventually(kPatience, [&] {
      if (!replica_.running()) {
        replica_.Kill();
        replica_.Start();
      }
      auto context = Deadline(absl::Seconds(5));
      return call(context.get(), &order).ok();
    }));
    return order;
  }
  std::string Confirmed(const std::string& key) {
    const order::v1::Order order = Insist([&](grpc::ClientContext* context, order::v1::Order* answer) {
      return replica_.Orders()->CreateOrder(context, OrderRequestFor(key, kAmount), answer);
    });
    EXPECT_EQ(order.status(), order::v1::CONFIRMED) << order.DebugString();
    return order.order_id();
  }
  grpc::Status Complete(const std::string& order_id, grpc::ClientContext* context, order::v1::Order* answer) {
    order::v1::CompleteOrderRequest request;
    request.set_order_id(order_id);
    return replica_.Orders()->CompleteOrder(context, request, answer);
  }
  int64_t Balance(const std::string& kind) {
    return std::stoll(stack_.sql().Value(
        "SELECT COALESCE(sum(credits_posted - debits_posted), 0) FROM ledger_accounts WHERE kind = $1", {kind}));
  }

  Stack stack_{Options()};
  OrderReplica& replica_;
};

TEST_F(OrderEndsE2eTest, ADriverEarnsOnceWhateverIsKilledAndIsPaidOut) {
  ASSERT_TRUE(kFailpointsCompiledIn);
  int completed = 0;
  for (const char* failpoint : {"", "advance.before_commit", "advance.after_commit"}) {
    const std::string order_id = Confirmed(fmt::format("order-{}", completed));
    EXPECT_EQ(Balance("driver"), completed * kShare) << "he has not earned it yet";
    if (*failpoint != '\0') {
      replica_.Kill();
      replica_.Start({{"WAYBILL_FAILPOINT", std::string(failpoint) + "=kill"}});
      auto context = Deadline(absl::Seconds(10));
      order::v1::Order order;
      EXPECT_FALSE(Complete(order_id, context.get(), &order).ok()) << failpoint << " never fired";
      EXPECT_TRUE(Eventually(kPatience, [&] { return !replica_.running(); }));
    }
    for (int i = 0; i < 2; ++i) {
      const order::v1::Order order = Insist(
          [&](grpc::ClientContext* context, order::v1::Order* answer) { return Complete(order_id, context, answer); });
      EXPECT_EQ(order.status(), order::v1::COMPLETED);
    }
    ++completed;
    EXPECT_EQ(Balance("driver"), completed * kShare) << failpoint;
    EXPECT_EQ(Balance("commission"), completed * kCommission) << failpoint;
  }
  // One that is turned back earns nothing.
  const std::string cancelled = Confirmed("cancelled");
  Insist([&](grpc::ClientContext* context, order::v1::Order* answer) {
    order::v1::CancelOrderRequest request;
    request.set_order_id(cancelled);
    return replica_.Orders()->CancelOrder(context, request, answer);
  });
  EXPECT_EQ(Balance("orders"), 0);
  EXPECT_EQ(Balance("driver"), completed * kShare);

  const auto run = [&](std::vector<std::string> args, const std::string& ledger) {
    return cli::RunBinary(WAYBILL_BINARY, std::move(args),
                          {{"WAYBILL_SERVER", fmt::format("127.0.0.1:{}", replica_.port())},
                           {"WAYBILL_CLIENT", "e2e"},
                           {"WAYBILL_LEDGER", ledger}});
  };
  const cli::Ran paid =
      run({"payout", "create", "driver:driver-1:EUR", "--amount", "48.00 EUR", "--to", "DE02", "--id", "w7"}, "");
  EXPECT_EQ(paid.code, 0) << paid.output;
  EXPECT_THAT(paid.output, HasSubstr("PAID"));
  EXPECT_EQ(
      run({"payout", "create", "driver:driver-1:EUR", "--amount", "0.01 EUR", "--to", "DE02", "--id", "w8"}, "").code,
      6)
      << "that was all";
  EXPECT_EQ(Balance("driver"), 0);
  EXPECT_EQ(Balance("payouts"), completed * kShare);

  // The ledger's own service finds it sound, and all of it adds up to nothing.
  const ReservedPort port;
  const std::string ledger = fmt::format("127.0.0.1:{}", port.port());
  auto service = Process::Start(WAYBILL_LEDGER_BINARY,
                                {.args = {"--listen", ledger, "--side-listen", "127.0.0.1:0"},
                                 .env = {{"DATABASE_URL", stack_.database_url()}, {"REDIS_URL", stack_.redis_url()}}});
  ASSERT_TRUE(service.ok()) << service.status();
  ASSERT_TRUE((*service)->WaitForLine("\"grpc_port\"", kPatience)) << (*service)->Output();
  const cli::Ran verified = run({"ledger", "verify"}, ledger);
  EXPECT_EQ(verified.code, 0) << verified.output;
  EXPECT_THAT(verified.output, HasSubstr("the ledger is sound"));
  EXPECT_EQ(stack_.sql().Value("SELECT sum(debits_posted - credits_posted) FROM ledger_accounts WHERE parent IS NULL"),
            "0");
  EXPECT_THAT(run({"ledger", "statement", "driver:driver-1:EUR"}, ledger).output, HasSubstr("16.00"));
  EXPECT_THAT(stack_.WrongInTheBooks(), IsEmpty());
}

TEST_F(OrderEndsE2eTest, WhoSplitsPosts) {
  const cli::Ran ran = cli::RunBinary(WAYBILL_ORDER_BINARY, {"--ledger-commission-ppm", "200000"},
                                      {{"DATABASE_URL", stack_.database_url()}, {"REDIS_URL", stack_.redis_url()}});
  EXPECT_EQ(ran.code, 2) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("--ledger is not"));
}

}  // namespace
}  // namespace waybill::testing
