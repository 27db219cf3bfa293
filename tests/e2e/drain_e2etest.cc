// A replica that drains sends its clients to the other one, seen by stock clients of two languages with one channel
// each.
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/stack.h"
#include "tests/support/eventually.h"
#include "tests/support/process.h"

namespace waybill::testing {
namespace {

using ::testing::SizeIs;

constexpr char kStarted[] =
    "grpc_server_started_total{grpc_method=\"CreateOrder\",grpc_service=\"waybill.order.v1.OrderService\","
    "grpc_type=\"unary\"}";

struct StockClient {
  std::string language, interpreter, script;
};

class DrainTest : public ::testing::TestWithParam<StockClient> {};

TEST_P(DrainTest, AClientWithOneChannelGoesOnAtTheOtherReplicaWithinASecond) {
  StackOptions options;
  options.order_args = {"--attempt-timeout", "10s"};
  Stack stack(options);
  OrderReplica& a = stack.AddReplica("a");
  OrderReplica& b = stack.AddReplica("b");
  a.Start();
  b.Start();
  stack.PutDrivers(1'000);
  sandbox::v1::Behaviour slow;
  slow.set_late_rate(1);
  slow.set_late_ms(3'000);
  slow.add_methods("Charge");
  stack.SetBehaviour(slow);
  ProcessOptions client_options;
  client_options.args = {GetParam().script, fmt::format("ipv4:127.0.0.1:{},127.0.0.1:{}", a.port(), b.port())};
  client_options.env = {{"PYTHONDONTWRITEBYTECODE", "1"}};
  auto client = Process::Start(GetParam().interpreter, client_options);
  ASSERT_TRUE(client.ok()) << client.status() << ": Debian's python3-grpcio and ruby-grpc are needed";
  ASSERT_TRUE((*client)->WaitForLine("OK", absl::Seconds(30))) << (*client)->Output();
  const double at_a = a.Metric(kStarted);
  EXPECT_EQ(b.Metric(kStarted), 0);

  ASSERT_TRUE(a.process().Signal(SIGTERM));
  EXPECT_TRUE(Eventually(absl::Seconds(1), [&] { return b.Metric(kStarted) > 0; }));
  EXPECT_TRUE(a.running()) << "the calls under way take 3 s";
  EXPECT_EQ(a.process().Wait(absl::Seconds(30)), 0);

  ASSERT_TRUE((*client)->Signal(SIGTERM));
  ASSERT_EQ((*client)->Wait(absl::Seconds(30)), 0) << (*client)->Output();
  std::vector<std::string> failed;
  int calls = 0;
  std::istringstream lines((*client)->Output());
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("failed")) failed.push_back(line);
    if (line == "OK" || line.starts_with("failed")) ++calls;
  }
  EXPECT_GT(calls, at_a + 20);
  // One, if it was just on the wire; ten seconds' worth before the clients were sent away.
  EXPECT_THAT(failed, SizeIs(::testing::Le(1)));
  stack.SetBehaviour({});
  EXPECT_TRUE(stack.WaitUntilAllSettled());
  EXPECT_THAT(stack.WrongInTheBooks(), SizeIs(0));
}

INSTANTIATE_TEST_SUITE_P(StockClients, DrainTest,
                         ::testing::Values(StockClient{"Python", "/usr/bin/python3",
                                                       WAYBILL_E2E_SOURCES "/one_channel.py"},
                                           StockClient{"Ruby", "/usr/bin/ruby", WAYBILL_E2E_SOURCES "/one_channel.rb"}),
                         [](const auto& client) { return client.param.language; });

}  // namespace
}  // namespace waybill::testing
