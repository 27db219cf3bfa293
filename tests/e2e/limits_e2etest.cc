// Limits of the real services: held over two replicas, read again at SIGHUP, and what is wrong is told.
#include <fstream>
#include <string>

#include "edge/rpc/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "tests/e2e/stack.h"

namespace waybill::testing {
namespace {

using ::testing::HasSubstr;

class LimitsTest : public ::testing::Test {
 protected:
  LimitsTest() {
    Write(R"([[limit]]
name = "reads"
client = "*"
method = "waybill.order.v1.OrderService/GetOrder"
limit = 5
period = "1h"
)");
    StackOptions options;
    options.builtin_gateway = true;
    options.order_args = {"--limits-file", path()};
    stack_.emplace(options);
    for (const char* instance : {"a", "b"}) stack_->AddReplica(instance).Start();
  }

  std::string path() const { return folder_.path() / "limits.toml"; }
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
  // Of so many calls by turns to both replicas, those that were not refused.
  int Passing(int calls, const std::string& client) {
    int passing = 0;
    for (int i = 0; i < calls; ++i) {
      const absl::Status status = Get(static_cast<size_t>(i % 2), client);
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

  Write("[[limit]]\nname = \"reads\"\nclient = \"*\"\nmethod = \"*\"\nlimit = 8\nperiode = \"1h\"\n");
  EXPECT_THAT(Hangup(0, "limits are as before"), HasSubstr("limits.toml:6: periode is no field of a limit"));
  EXPECT_EQ(Passing(4, "shop"), 0);

  Write(
      "[[limit]]\nname = \"reads\"\nclient = \"*\"\nmethod = \"*\"\nlimit = 8\nperiod = \"1h\"\n"
      "[[limit]]\nname = \"vip\"\nclient = \"vip\"\nmethod = \"*\"\nlimit = 9\nperiod = \"1h\"\n");
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
