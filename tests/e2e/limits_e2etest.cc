// Limits of the real services: held over two replicas, read again at SIGHUP, and what is wrong is told.
#include <fstream>
#include <string>

#include "edge/rpc/status.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "tests/e2e/stack.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

using ::testing::HasSubstr;

class LimitsTest : public ::testing::Test {
 protected:
  LimitsTest() {
    Write(Rule("reads", "*", 5));
    StackOptions options;
    options.builtin_gateway = true;
    options.order_args = {"--limits-file", path()};
    stack_.emplace(options);
    for (const char* instance : {"a", "b"}) stack_->AddReplica(instance).Start();
  }

  std::string path() const { return folder_.path() / "limits.toml"; }
  static std::string Rule(const std::string& name, const std::string& client, int limit) {
    return fmt::format(
        "[[limit]]\nname = \"{}\"\nclient = \"{}\"\nmethod = \"waybill.order.v1.OrderService/GetOrder\"\nlimit = {}\n"
        "period = \"1h\"\nwhen_redis_is_away = \"closed\"\n",
        name, client, limit);
  }
  void Write(const std::string& text) { std::ofstream(path()) << text; }
  absl::Status Get(size_t replica, const std::string& client) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    context.AddMetadata("waybill-client", client);
    order::v1::GetOrderRequest request;
    request.set_order_id("018f5b2e-0000-7000-8000-000000000000");
    order::v1::Order order;
    return rpc::FromGrpcStatus(stack_->replica(replica).Orders()->GetOrder(&context, request, &order));
  }
  // Of so many calls by turns to both replicas, those that were not refused. A moment in which Redis seems to be away,
  // for the machine is busy, is waited out.
  int Passing(int calls, const std::string& client) {
    int passing = 0;
    for (int i = 0; i < calls; ++i) {
      absl::Status status;
      EXPECT_TRUE(Eventually(absl::Seconds(20), [&] {
        status = Get(static_cast<size_t>(i % 2), client);
        return GetErrorDetail(status).reason != "STORE_UNAVAILABLE";
      }));
      const std::string reason = GetErrorDetail(status).reason;
      EXPECT_TRUE(reason == "ORDER_NOT_FOUND" || reason == "RATE_LIMITED") << status;
      passing += reason == "ORDER_NOT_FOUND" ? 1 : 0;
    }
    return passing;
  }
  std::string Hangup(size_t replica, const std::string& text) {
    Process& process = stack_->replica(replica).process();
    EXPECT_TRUE(process.Signal(SIGHUP));
    return process.WaitForLine(text, absl::Seconds(20)).value_or("no such line in " + process.Output());
  }

  TempDirectory folder_;
  std::optional<Stack> stack_;
};

TEST_F(LimitsTest, AreHeldOverReplicasAndReadAgainAtSighup) {
  EXPECT_EQ(Passing(12, "shop"), 5);
  EXPECT_EQ(Passing(12, "kiosk"), 5);

  Write(Rule("reads", "*", 8) + "periode = \"1h\"\n");
  EXPECT_THAT(Hangup(0, "limits are as before"), HasSubstr("limits.toml:8: periode is no field of a limit"));
  EXPECT_EQ(Passing(4, "shop"), 0);

  Write(Rule("reads", "*", 8) + Rule("vip", "vip", 9));
  for (const size_t replica : {0, 1}) EXPECT_THAT(Hangup(replica, "\"rules\":2"), HasSubstr("limits are in force"));
  EXPECT_EQ(Passing(12, "vip"), 9);
  EXPECT_EQ(Passing(12, "stall"), 8);

  Write("");
  for (const size_t replica : {0, 1}) EXPECT_THAT(Hangup(replica, "\"rules\":0"), HasSubstr("limits are in force"));
  EXPECT_EQ(Passing(12, "stall"), 12);
  for (const size_t replica : {0, 1}) EXPECT_EQ(stack_->replica(replica).Stop(), 0);
}

}  // namespace
}  // namespace waybill::testing
