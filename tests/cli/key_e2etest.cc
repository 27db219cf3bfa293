// Identity from end to end: keys made by the command line, and what real services say to those who show them.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "edge/rpc/client.h"
#include "edge/rpc/status.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "runtime/status.h"
#include "tests/cli/run_binary.h"
#include "tests/support/eventually.h"
#include "tests/support/postgres.h"
#include "tests/support/process.h"
#include "tests/support/redis.h"
#include "tests/support/temp_directory.h"
#include "waybill/location/v1/location.grpc.pb.h"

namespace waybill::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class KeySessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Write("hash.key", std::string(48, 'h'));
    Write("admin.key", "wb_admin_" + std::string(40, 'a') + "\n");
    ASSERT_EQ(Run({"migrate"}).code, 0);
  }

  std::string Path(const std::string& name) const { return directory_.path().string() + "/" + name; }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name + ".new")) << text;
    std::filesystem::rename(Path(name + ".new"), Path(name));
  }
  std::vector<std::pair<std::string, std::string>> Stores() const {
    return {{"DATABASE_URL", database_.url()}, {"REDIS_URL", redis_.url()}, {"USER", "ada"}};
  }
  std::unique_ptr<testing::Process> Start(const std::string& binary, const std::string& identity) {
    testing::ProcessOptions options;
    options.args = {"--listen", "127.0.0.1:0",     "--side-listen",  "127.0.0.1:0",      "--identity",
                    identity,   "--key-hash-file", Path("hash.key"), "--admin-key-file", Path("admin.key")};
    options.env = Stores();
    auto started = testing::Process::Start(binary, options);
    EXPECT_TRUE(started.ok()) << started.status();
    return *std::move(started);
  }
  static std::string AddressOf(testing::Process& service) {
    const auto line = service.WaitForLine("\"grpc_port\"", absl::Seconds(30));
    EXPECT_TRUE(line.has_value()) << service.Output();
    return fmt::format("127.0.0.1:{}", line ? nlohmann::json::parse(*line)["grpc_port"].get<int>() : 0);
  }
  void StartOrders(const std::string& identity = "required") {
    orders_ = Start(WAYBILL_ORDER_BINARY, identity);
    server_ = AddressOf(*orders_);
  }

  Ran Run(std::vector<std::string> args, std::vector<std::pair<std::string, std::string>> more = {}) const {
    auto env = Stores();
    env.emplace_back("WAYBILL_SERVER", server_);
    env.insert(env.end(), more.begin(), more.end());
    return RunBinary(WAYBILL_BINARY, std::move(args), std::move(env));
  }
  Ran RunAsAdmin(std::vector<std::string> args) const {
    args.insert(args.end(), {"--key-file", Path("admin.key")});
    return Run(std::move(args));
  }
  Ran RunWith(const std::string& secret, std::vector<std::string> args) const {
    return Run(std::move(args), {{"WAYBILL_KEY", secret}});
  }
  struct Key {
    std::string id, secret;
  };
  Key Make(const std::string& client, const std::vector<std::string>& more) const {
    std::vector<std::string> args = {"key", "create", "--for", client, "--json"};
    args.insert(args.end(), more.begin(), more.end());
    const Ran ran = RunAsAdmin(args);
    EXPECT_EQ(ran.json.size(), 1u) << ran.output;
    if (ran.json.size() != 1) return {};
    return {ran.json[0]["key"]["key_id"], ran.json[0]["secret"]};
  }
  static std::vector<std::string> CreateOrder(const std::string& key) {
    return {"order", "create", "--user", "u-1", "--amount", "12.50", "--currency", "EUR", "--key", key, "--json"};
  }

  testing::TempDirectory directory_;
  testing::TestDatabase database_;
  testing::TestRedis redis_;
  std::unique_ptr<testing::Process> orders_;
  std::string server_ = "127.0.0.1:1";
};

TEST_F(KeySessionTest, FromTheFirstKeyToTheLastCall) {
  StartOrders();
  const Ran nobody = Run(CreateOrder("k-1"));
  EXPECT_EQ(nobody.code, 4) << nobody.output;
  EXPECT_THAT(nobody.output, HasSubstr("NO_IDENTITY"));

  const Key shop = Make("shop", {"--scope", "orders:write", "--scope", "orders:read", "--expires-in", "90d"});
  const Key other = Make("other", {"--scope", "orders:write", "--scope", "orders:read"});
  const Ran created = RunWith(shop.secret, CreateOrder("k-1"));  // turned back: nobody is on the map
  ASSERT_EQ(created.code, 6) << created.output;
  const std::string order = created.json.at(0)["order_id"];
  EXPECT_EQ(RunWith(shop.secret, {"order", "get", order}).code, 0);
  const Ran foreign = RunWith(other.secret, {"order", "get", order});
  EXPECT_EQ(foreign.code, 3) << foreign.output;
  EXPECT_THAT(foreign.output, HasSubstr("ORDER_NOT_FOUND"));
  EXPECT_EQ(RunWith(other.secret, {"order", "list", "--json"}).json.size(), 0u);
  EXPECT_EQ(RunWith(shop.secret, {"order", "list", "--json"}).json.size(), 1u);
  EXPECT_THAT(RunWith(shop.secret, {"saga", "list"}).output, HasSubstr("SCOPE_MISSING"));
  EXPECT_THAT(RunWith(shop.secret, {"key", "list"}).output, HasSubstr("SCOPE_MISSING"));
  EXPECT_THAT(RunWith(shop.secret, {"order", "list", "--client", "other"}).output, HasSubstr("CLIENT_MISMATCH"));
  EXPECT_EQ(RunAsAdmin({"saga", "list", "--state", "compensated", "--json"}).json.size(), 1u);

  // A second secret beside the first, and then no more of the first.
  const Ran rotated = RunAsAdmin({"key", "rotate", shop.id, "--overlap", "1h"});
  ASSERT_EQ(rotated.code, 0) << rotated.output;
  const std::string second = rotated.output.substr(0, rotated.output.find('\n'));
  ASSERT_EQ(second.rfind("wb_", 0), 0u) << rotated.output;
  for (const std::string& secret : {shop.secret, second}) {
    EXPECT_EQ(RunWith(secret, {"order", "get", order}).code, 0);
  }
  const Ran revoked = RunAsAdmin({"key", "revoke", shop.id});
  EXPECT_THAT(revoked.output, HasSubstr("revoked"));
  EXPECT_THAT(RunWith(shop.secret, {"order", "get", order}).output, HasSubstr("KEY_REVOKED"));
  EXPECT_EQ(RunWith(second, {"order", "get", order}).code, 0);

  const Ran all = RunAsAdmin({"key", "list", "--all"});
  EXPECT_THAT(all.output, HasSubstr("revoked"));
  EXPECT_THAT(RunAsAdmin({"key", "list"}).output, Not(HasSubstr(shop.id)));
  // Nothing that could be used is in what people see, nor in what the service has said.
  for (const std::string& secret : {shop.secret, second, other.secret, "wb_admin_" + std::string(40, 'a')}) {
    EXPECT_THAT(all.output, Not(HasSubstr(secret)));
    EXPECT_THAT(orders_->Output(), Not(HasSubstr(secret)));
  }
  testing::Sql sql(database_.url());
  const std::string rows = sql.Value("SELECT string_agg(k::text, ' ') FROM access_keys k");
  EXPECT_THAT(rows, Not(HasSubstr(second.substr(second.rfind('_')))));
  EXPECT_THAT(rows, HasSubstr(shop.id));
}

// Another process, which nobody has told, and one whose stream is open.
TEST_F(KeySessionTest, ARevokedKeyIsSoonRefusedEverywhere) {
  StartOrders();
  auto ingest = Start(WAYBILL_INGEST_BINARY, "required");
  const std::string ingest_address = AddressOf(*ingest);
  const Key key = Make("north", {"--scope", "locations:read", "--scope", "locations:write", "--driver", "north-*"});
  const auto call = [&] { return RunWith(key.secret, {"driver", "get", "north-1", "--ingest", ingest_address}); };
  ASSERT_TRUE(testing::Eventually(absl::Seconds(20), [&] { return call().code == 3; })) << call().output;

  testing::ProcessOptions watching;
  watching.args = {"driver", "watch", "--ingest", ingest_address, "--retries", "0"};
  watching.env = {{"WAYBILL_KEY", key.secret}};
  auto watch = *testing::Process::Start(WAYBILL_BINARY, watching);
  testing::Sql sql(database_.url());
  ASSERT_EQ(RunAsAdmin({"key", "revoke", key.id}).code, 0);
  const auto revoked_at = std::chrono::steady_clock::now();
  // Without gRPC's start-up in each try. A second is what is promised; a machine that is busy with other tests may take
  // its time.
  auto locations = location::v1::LocationService::NewStub(rpc::MakeChannel(ingest_address));
  absl::Status answer;
  do {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Bearer " + key.secret);
    location::v1::GetDriverRequest request;
    request.set_driver_id("north-1");
    location::v1::DriverLocation found;
    answer = rpc::FromGrpcStatus(locations->GetDriver(&context, request, &found));
  } while (absl::IsNotFound(answer) && std::chrono::steady_clock::now() - revoked_at < std::chrono::seconds(20));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - revoked_at;
  EXPECT_EQ(GetErrorDetail(answer).reason, "KEY_REVOKED") << answer;
  EXPECT_LT(took.count(), 5);
  RecordProperty("seconds_until_refused", fmt::format("{:.3f}", took.count()));
  std::printf("refused after %.3f s\n", took.count());
  EXPECT_EQ(watch->Wait(absl::Seconds(20)), 4) << watch->Output();
  EXPECT_THAT(watch->Output(), HasSubstr("KEY_REVOKED"));
}

TEST_F(KeySessionTest, OpenServesEverybodySaysSoAndGuardsKeysAllTheSame) {
  StartOrders("open");
  EXPECT_THAT(orders_->Output(), HasSubstr("whoever reaches the port is let in"));
  EXPECT_EQ(Run(CreateOrder("k-1")).code, 6);
  EXPECT_THAT(Run({"key", "list"}).output, HasSubstr("NO_IDENTITY"));
  EXPECT_EQ(RunAsAdmin({"key", "list"}).code, 0);
}

TEST_F(KeySessionTest, TheAdministratorsKeyIsTheFilesWhileItIsThere) {
  StartOrders();
  EXPECT_EQ(RunAsAdmin({"key", "list"}).code, 0);
  const std::string old = "wb_admin_" + std::string(40, 'a');
  Write("admin.key", "wb_admin_" + std::string(40, 'b'));
  EXPECT_TRUE(testing::Eventually(absl::Seconds(20), [&] { return RunAsAdmin({"key", "list"}).code == 0; }));
  EXPECT_THAT(RunWith(old, {"key", "list"}).output, HasSubstr("KEY_UNKNOWN"));
  std::filesystem::remove(Path("admin.key"));
  const std::string last = "wb_admin_" + std::string(40, 'b');
  EXPECT_TRUE(testing::Eventually(absl::Seconds(20), [&] {
    return RunWith(last, {"key", "list"}).output.find("KEY_UNKNOWN") != std::string::npos;
  }));
}

TEST_F(KeySessionTest, MistakesAreNamed) {
  const auto start = [&](std::vector<std::string> args) {
    return RunBinary(WAYBILL_ORDER_BINARY, std::move(args), Stores());
  };
  EXPECT_THAT(start({"--identity", "required"}).output, HasSubstr("--identity required needs --key-hash-file"));
  EXPECT_THAT(start({"--admin-key-file", Path("admin.key")}).output, HasSubstr("needs --key-hash-file"));
  EXPECT_EQ(start({"--identity", "closed"}).code, 2);
  Write("short.key", "too short");
  EXPECT_THAT(
      start({"--key-hash-file", Path("short.key"), "--listen", "127.0.0.1:0", "--side-listen", "127.0.0.1:0"}).output,
      HasSubstr("short.key holds 9 bytes"));
  const Ran no_key = Run({"order", "list", "--key-file", Path("short.key")});
  EXPECT_EQ(no_key.code, 2);
  EXPECT_THAT(no_key.output, HasSubstr("--key-file"));
  EXPECT_THAT(no_key.output, Not(HasSubstr("too short")));
  const Ran no_secret = RunWith("hunter2", {"order", "list"});
  EXPECT_EQ(no_secret.code, 2);
  EXPECT_THAT(no_secret.output, Not(HasSubstr("hunter2")));
}

// 192.0.2.1 is nobody's.
TEST_F(KeySessionTest, AKeyIsNotShownToAnotherMachineInClear) {
  for (const char* option : {"--server", "--ingest"}) {
    const Ran ran = RunBinary(WAYBILL_BINARY,
                              {"order", "list", "--retries", "0", "--timeout", "200ms", "--key-file", Path("admin.key"),
                               option, "192.0.2.1:7410"},
                              {});
    EXPECT_EQ(ran.code, 2) << ran.output;
    EXPECT_THAT(ran.output, AllOf(HasSubstr(option), HasSubstr("--tls"), HasSubstr("--key-over-plain")));
  }
  const Ran told = RunBinary(WAYBILL_BINARY,
                             {"order", "list", "--retries", "0", "--timeout", "200ms", "--key-file", Path("admin.key"),
                              "--key-over-plain", "--server", "192.0.2.1:7410"},
                             {});
  EXPECT_THAT(told.output, Not(HasSubstr("--key-over-plain")));
}

}  // namespace
}  // namespace waybill::cli
