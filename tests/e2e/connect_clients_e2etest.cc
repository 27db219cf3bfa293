// Stock Connect clients from npm, which have no generated code of ours, in Node and in a page of headless Chromium.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/stack.h"
#include "tests/support/temp_directory.h"

namespace waybill::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr absl::Duration kClientWait = absl::Seconds(120);

// What it printed; fails the test when it fails.
std::string RunProgram(const std::string& binary, std::vector<std::string> args) {
  ProcessOptions options;
  options.args = std::move(args);
  auto process = Process::Start(binary, options);
  if (!process.ok()) {
    ADD_FAILURE() << binary << ": " << process.status();
    return "";
  }
  EXPECT_EQ((*process)->Wait(kClientWait), 0) << binary << ": " << (*process)->Output();
  return (*process)->Output();
}

class ConnectClientsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(WAYBILL_CLIENT_TESTS "/node_modules/@connectrpc/connect-web")) {
      GTEST_SKIP() << "needs the packages of tests/clients/package-lock.json; ./dev test fetches them";
    }
    RunProgram("/usr/bin/protoc",
               {"-I", WAYBILL_PROTOS, "--include_imports", "--descriptor_set_out=" + descriptors_,
                "waybill/order/v1/order.proto", "grpc/health/v1/health.proto", "google/rpc/error_details.proto"});
  }
  static std::string Url(const OrderReplica& replica) {
    return fmt::format("http://127.0.0.1:{}", replica.side_port());
  }

  TempDirectory directory_;
  const std::string descriptors_ = (directory_.path() / "descriptors").string();
};

TEST_F(ConnectClientsTest, OfNodeMakeReadAndWatchOrders) {
  StackOptions options;
  options.builtin_gateway = true;
  Stack stack(options);
  stack.AddReplica("a").Start();
  const std::string done =
      RunProgram("/usr/bin/node", {WAYBILL_CLIENT_TESTS "/node.mjs", Url(stack.replica()), descriptors_});
  for (const char* transport : {"node-proto", "node-json", "node-get", "node-json-get", "node-gzip", "node-no-gzip"}) {
    EXPECT_THAT(done, AllOf(HasSubstr(fmt::format("{}: an order is created\n", transport)),
                            HasSubstr(fmt::format("{}: a long list comes whole\n", transport))));
  }
}

TEST_F(ConnectClientsTest, OfABrowsersPageMakeReadAndWatchOrders) {
  // The origin has to be known before the service starts.
  StackOptions options;
  options.builtin_gateway = true;
  const int allowed = FreePort(), another = FreePort();
  options.order_args = {"--web-origins", fmt::format("http://127.0.0.1:{}", allowed)};
  Stack stack(options);
  stack.AddReplica("a").Start();
  const std::string done =
      RunProgram("/usr/bin/node", {WAYBILL_CLIENT_TESTS "/browser.mjs", Url(stack.replica()), descriptors_,
                                   fmt::format("{}", allowed), (directory_.path() / "profile").string()});
  for (const char* transport : {"browser-json", "browser-proto", "browser-get"}) {
    EXPECT_THAT(done, AllOf(HasSubstr(fmt::format("{}: an order is created\n", transport)),
                            HasSubstr(fmt::format("{}: a long list comes whole\n", transport))));
  }
  // The same page of another origin.
  ProcessOptions other;
  other.args = {WAYBILL_CLIENT_TESTS "/browser.mjs", Url(stack.replica()), descriptors_, fmt::format("{}", another),
                (directory_.path() / "other").string()};
  auto refused = Process::Start("/usr/bin/node", other);
  ASSERT_TRUE(refused.ok()) << refused.status();
  EXPECT_EQ((*refused)->Wait(kClientWait), 1);
  EXPECT_THAT((*refused)->Output(), HasSubstr("Failed to fetch"));
}

}  // namespace
}  // namespace waybill::testing
