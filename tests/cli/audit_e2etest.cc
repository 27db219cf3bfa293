// The audit from end to end: what is done by the command line, and who did it.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/cli/run_binary.h"
#include "tests/support/eventually.h"
#include "tests/support/postgres.h"
#include "tests/support/process.h"
#include "tests/support/redis.h"
#include "tests/support/temp_directory.h"

namespace waybill::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class AuditSessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Write("hash.key", std::string(48, 'h'));
    Write("admin.key", "wb_admin_" + std::string(40, 'a') + "\n");
    Write("order.toml", "log-level = \"info\"\n");
    ASSERT_EQ(Run({"migrate"}).code, 0);
    testing::ProcessOptions options;
    options.args = {"--listen", "127.0.0.1:0",      "--side-listen",  "127.0.0.1:0",      "--identity",
                    "required", "--key-hash-file",  Path("hash.key"), "--admin-key-file", Path("admin.key"),
                    "--config", Path("order.toml"), "--instance",     "order-1"};
    options.env = Stores();
    auto started = testing::Process::Start(WAYBILL_ORDER_BINARY, options);
    ASSERT_TRUE(started.ok()) << started.status();
    orders_ = *std::move(started);
    const auto line = orders_->WaitForLine("\"grpc_port\"", absl::Seconds(30));
    ASSERT_TRUE(line.has_value()) << orders_->Output();
    server_ = fmt::format("127.0.0.1:{}", nlohmann::json::parse(*line)["grpc_port"].get<int>());
    ASSERT_TRUE(testing::Eventually(absl::Seconds(20), [&] { return !Listed({"--action", "process."}).empty(); }));
  }

  std::string Path(const std::string& name) const { return directory_.path().string() + "/" + name; }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name + ".new")) << text;
    std::filesystem::rename(Path(name + ".new"), Path(name));
  }
  std::vector<std::pair<std::string, std::string>> Stores() const {
    return {{"DATABASE_URL", database_.url()}, {"REDIS_URL", redis_.url()}, {"USER", "ada"}};
  }
  Ran Run(std::vector<std::string> args) const {
    auto env = Stores();
    env.emplace_back("WAYBILL_SERVER", server_);
    env.emplace_back("WAYBILL_KEY_FILE", Path("admin.key"));
    return RunBinary(WAYBILL_BINARY, std::move(args), std::move(env));
  }
  // "admin key.revoke k3jx2m7qaaaa", the oldest first.
  std::vector<std::string> Listed(std::vector<std::string> args = {}) const {
    args.insert(args.begin(), {"audit", "list", "--json", "--limit", "0"});
    const Ran ran = Run(std::move(args));
    EXPECT_EQ(ran.code, 0) << ran.output;
    std::vector<std::string> found;
    for (const nlohmann::json& entry : ran.json) {
      found.insert(found.begin(), fmt::format("{} {} {}", entry["client"].get<std::string>(),
                                              entry["action"].get<std::string>(), entry["subject"].get<std::string>()));
    }
    return found;
  }

  testing::TempDirectory directory_;
  testing::TestDatabase database_;
  testing::TestRedis redis_;
  std::unique_ptr<testing::Process> orders_;
  std::string server_ = "127.0.0.1:1";
};

TEST_F(AuditSessionTest, SaysWhoDidWhat) {
  Ran made = Run({"key", "create", "--for", "shop", "--scope", "orders:write", "--json"});
  ASSERT_EQ(made.code, 0) << made.output;
  const nlohmann::json key = made.json.at(0);
  const std::string id = key["key"]["key_id"];
  ASSERT_EQ(Run({"key", "revoke", id}).code, 0);
  ASSERT_EQ(Run({"key", "revoke", id}).code, 0) << "changes nothing";
  ASSERT_EQ(Run({"driver", "put", "ann", "--at", "52.52,13.405", "--ttl", "1h", "--capacity", "3"}).code, 0);
  ASSERT_EQ(Run({"driver", "duty", "ann", "off"}).code, 0);
  Write("order.toml", "log-level = \"debug\"\n");
  orders_->Signal(SIGHUP);
  EXPECT_TRUE(testing::Eventually(absl::Seconds(20), [&] { return !Listed({"--kind", "setting"}).empty(); }));
  EXPECT_THAT(Listed(), ElementsAre("waybill-order process.start order-1", "admin key.create " + id,
                                    "admin key.revoke " + id, "admin driver.capacity ann", "admin driver.duty ann",
                                    "waybill-order setting.change log-level"));
  EXPECT_THAT(Listed({"--of", "admin", "--action", "key."}),
              ElementsAre("admin key.create " + id, "admin key.revoke " + id));
  EXPECT_THAT(Listed({"--subject", "ann", "--from", "1h"}),
              ElementsAre("admin driver.capacity ann", "admin driver.duty ann"));
  EXPECT_THAT(Listed({"--to", "1h"}), ElementsAre());

  const Ran table = Run({"audit", "list", "--limit", "2"});
  EXPECT_THAT(table.output, HasSubstr("setting.change"));
  EXPECT_THAT(table.output, HasSubstr(R"("after":"debug")"));
  EXPECT_THAT(table.output, HasSubstr("there are more than 2"));
  const std::string everything = Run({"audit", "list", "--json", "--limit", "0"}).output;
  EXPECT_THAT(everything, Not(HasSubstr(key["secret"].get<std::string>())));

  const Ran wrong = Run({"audit", "list", "--from", "yesterday-ish"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.output, HasSubstr("--from"));
}

TEST_F(AuditSessionTest, VerifyFindsWhatIsNotAsItWas) {
  for (int i = 2; i < 6; ++i) ASSERT_EQ(Run({"driver", "capacity", "d", std::to_string(i)}).code, 0);
  Ran whole = Run({"audit", "verify"});
  ASSERT_EQ(whole.code, 0) << whole.output;
  const std::string head = whole.output.substr(0, whole.output.find('\n'));
  EXPECT_THAT(head, ::testing::StartsWith("5:"));
  EXPECT_THAT(whole.output, HasSubstr("5 entries, none missing or changed"));
  EXPECT_EQ(Run({"audit", "verify", "--head", head}).code, 0);
  EXPECT_EQ(Run({"audit", "verify", "--head", "5"}).code, 2);
  EXPECT_EQ(Run({"audit", "verify", "--head", ""}).code, 2) << "a file that is empty is no head";

  testing::Sql sql(database_.url());
  sql.Exec("SET session_replication_role = replica");
  sql.Exec("CREATE TABLE kept AS SELECT * FROM audit_entries");
  sql.Exec("UPDATE audit_entries SET client = 'nobody' WHERE sequence = 3");
  Ran changed = Run({"audit", "verify"});
  EXPECT_EQ(changed.code, 1);
  EXPECT_THAT(changed.output, HasSubstr("entry 3 was changed"));
  changed = Run({"audit", "verify", "--json"});
  const nlohmann::json said = changed.json.at(0);
  EXPECT_EQ(said["unbroken"], false);
  EXPECT_EQ(said["entries"], "2");

  // Its end cut off, and the head that stands beside the entries set back as well: only who remembers it can tell.
  sql.Exec("DELETE FROM audit_entries; INSERT INTO audit_entries SELECT * FROM kept WHERE sequence < 5");
  changed = Run({"audit", "verify"});
  EXPECT_EQ(changed.code, 1);
  EXPECT_THAT(changed.output, HasSubstr("entries 5 to 5 are missing"));
  sql.Exec("UPDATE audit_head SET (sequence, hash) = (SELECT sequence, hash FROM kept WHERE sequence = 4)");
  EXPECT_EQ(Run({"audit", "verify"}).code, 0);
  changed = Run({"audit", "verify", "--head", head});
  EXPECT_EQ(changed.code, 1);
  EXPECT_THAT(changed.output, HasSubstr("entries 5 to 5 are missing"));
  // And written anew.
  ASSERT_EQ(Run({"driver", "capacity", "e", "9"}).code, 0);
  EXPECT_EQ(Run({"audit", "verify"}).code, 0);
  changed = Run({"audit", "verify", "--head", head});
  EXPECT_EQ(changed.code, 1);
  EXPECT_THAT(changed.output, HasSubstr("entry 5 is another than was remembered"));
}

// A deed and its entry are one commit: a process that is killed on either side of it leaves both or neither.
class AuditCrashTest : public ::testing::TestWithParam<std::pair<const char*, bool>> {
 protected:
  std::unique_ptr<testing::Process> Start(const char* failpoint) {
    testing::ProcessOptions options;
    options.args = {"--listen", "127.0.0.1:0", "--side-listen", "127.0.0.1:0", "--instance", "a"};
    options.env = {{"DATABASE_URL", database_.url()}, {"REDIS_URL", redis_.url()}};
    if (failpoint != nullptr) options.env.emplace_back("WAYBILL_FAILPOINT", failpoint);
    auto started = testing::Process::Start(WAYBILL_ORDER_BINARY, options);
    EXPECT_TRUE(started.ok()) << started.status();
    const auto line = (*started)->WaitForLine("\"grpc_port\"", absl::Seconds(30));
    EXPECT_TRUE(line.has_value()) << (*started)->Output();
    server_ = fmt::format("127.0.0.1:{}", line ? nlohmann::json::parse(*line)["grpc_port"].get<int>() : 0);
    return *std::move(started);
  }
  Ran Run(std::vector<std::string> args) const {
    return RunBinary(WAYBILL_BINARY, std::move(args), {{"DATABASE_URL", database_.url()}, {"WAYBILL_SERVER", server_}});
  }

  testing::TestDatabase database_;
  testing::TestRedis redis_;
  std::string server_ = "127.0.0.1:1";
};

TEST_P(AuditCrashTest, ADeedAndItsEntryAreBothThereOrNeither) {
  const auto& [failpoint, done] = GetParam();
  ASSERT_EQ(Run({"migrate"}).code, 0);
  auto service = Start(nullptr);
  ASSERT_EQ(Run({"driver", "put", "ann", "--at", "52.52,13.405", "--ttl", "1h", "--capacity", "3"}).code, 0);
  const Ran created = Run({"order", "create", "--client", "shop", "--user", "u", "--amount", "12.50", "--currency",
                           "EUR", "--pickup", "52.52,13.405", "--json"});
  ASSERT_EQ(created.code, 0) << created.output;
  const std::string id = created.json.at(0)["order_id"];
  service->Signal(SIGTERM);
  ASSERT_EQ(service->Wait(absl::Seconds(30)), 0);

  service = Start(failpoint);
  EXPECT_NE(Run({"order", "cancel", id, "--client", "console", "--retries", "0"}).code, 0);
  ASSERT_TRUE(service->Wait(absl::Seconds(30)).has_value()) << "the failpoint ended it";
  testing::Sql sql(database_.url());
  EXPECT_EQ(sql.Value("SELECT count(*) FROM order_saga_steps WHERE outcome = 'cancelled'"), done ? "1" : "0");
  EXPECT_EQ(sql.Value("SELECT count(*) FROM audit_entries WHERE action = 'order.cancel'"), done ? "1" : "0");

  service = Start(nullptr);
  EXPECT_EQ(Run({"order", "cancel", id, "--client", "console"}).code, 0);
  EXPECT_EQ(sql.Value("SELECT count(*) FROM audit_entries WHERE action = 'order.cancel'"), "1");
  EXPECT_EQ(sql.Value("SELECT client FROM audit_entries WHERE subject = '" + id + "'"), "console");
  EXPECT_EQ(Run({"audit", "verify"}).code, 0);
  service->Signal(SIGTERM);
  EXPECT_EQ(service->Wait(absl::Seconds(30)), 0);
}

INSTANTIATE_TEST_SUITE_P(AtTheCommit, AuditCrashTest,
                         ::testing::Values(std::pair("advance.before_commit=kill", false),
                                           std::pair("advance.after_commit=kill", true)));

}  // namespace
}  // namespace waybill::cli
