// Reconciliation from end to end: orders that are paid, the gateway's file of them, and what is made of the
// differences.
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

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ReconcileSessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(Run({"migrate"}).code, 0);
    Serve({});
    for (const char* driver : {"d-1", "d-2"}) {
      ASSERT_EQ(Run({"driver", "put", driver, "--at", "52.5,13.4", "--ttl", "1h"}).code, 0);
    }
  }

  void Serve(const std::vector<std::string>& further) {
    service_.reset();
    testing::ProcessOptions options;
    options.args = {"--listen", "127.0.0.1:0", "--side-listen", "127.0.0.1:0"};
    options.args.insert(options.args.end(), further.begin(), further.end());
    options.env = Stores();
    auto started = testing::Process::Start(WAYBILL_ORDER_BINARY, options);
    ASSERT_TRUE(started.ok()) << started.status();
    service_ = *std::move(started);
    const auto line = service_->WaitForLine("\"grpc_port\"", absl::Seconds(30));
    ASSERT_TRUE(line.has_value()) << service_->Output();
    server_ = fmt::format("127.0.0.1:{}", nlohmann::json::parse(*line)["grpc_port"].get<int>());
  }

  std::vector<std::pair<std::string, std::string>> Stores() const {
    return {{"DATABASE_URL", database_.url()}, {"REDIS_URL", redis_.url()}, {"USER", "ada"}};
  }
  Ran Run(std::vector<std::string> args) const {
    auto env = Stores();
    env.emplace_back("WAYBILL_SERVER", server_);
    return RunBinary(WAYBILL_BINARY, std::move(args), env);
  }
  // Its id, and when it was charged.
  nlohmann::json Order(const std::string& amount) const {
    const Ran ran = Run(
        {"--json", "order", "create", "--user", "u", "--amount", amount, "--currency", "EUR", "--pickup", "52.5,13.4"});
    EXPECT_EQ(ran.code, 0) << ran.output;
    const size_t begin = ran.output.find('{');
    return begin == std::string::npos
               ? nlohmann::json()
               : nlohmann::json::parse(ran.output.substr(begin, ran.output.find('\n', begin) - begin));
  }
  static std::string Line(const nlohmann::json& order, const std::string& amount) {
    return fmt::format("charge,{}/charge_payment,{},EUR,{}\n", order["order_id"].get<std::string>(), amount,
                       order["payment"]["charge_time"].get<std::string>());
  }
  std::string Write(const std::string& name, const std::string& lines) const {
    const std::string path = folder_.path().string() + "/" + name;
    std::ofstream(path) << "kind,reference,amount,currency,booked_at\n" << lines;
    return path;
  }

  testing::TempDirectory folder_;
  testing::TestDatabase database_;
  testing::TestRedis redis_;
  std::unique_ptr<testing::Process> service_;
  std::string server_;
};

TEST_F(ReconcileSessionTest, PaymentsAreSummedByGatewayWhetherFoldedYetOrNot) {
  EXPECT_THAT(Run({"payments", "summary"}).output, HasSubstr("nothing was charged"));
  Order("12.50");
  const std::string one = Run({"payments", "summary"}).output;
  EXPECT_THAT(one, AllOf(HasSubstr("(not routed)"), HasSubstr("12.50")));
  const nlohmann::json given_back = Order("7.00");
  ASSERT_EQ(Run({"order", "cancel", given_back["order_id"].get<std::string>()}).code, 0);
  const auto summary = [this] {
    const std::string line = Run({"--json", "payments", "summary", "--from", "1h"}).output;
    return nlohmann::json::parse(line, nullptr, false);
  };
  const nlohmann::json fresh = summary();
  ASSERT_TRUE(fresh.is_object()) << fresh;
  EXPECT_EQ(fresh["count"], "2") << fresh;
  EXPECT_EQ(fresh["amount_minor"], "1950") << fresh;
  EXPECT_EQ(fresh["refund_count"], "1") << fresh;
  EXPECT_EQ(fresh["refund_minor"], "700") << fresh;
  testing::Sql sql(database_.url());
  EXPECT_TRUE(
      testing::Eventually(absl::Seconds(30), [&] { return sql.Value("SELECT count(*) FROM payment_entries") == "0"; }));
  EXPECT_EQ(summary(), fresh);
  const Ran wrong = Run({"payments", "summary", "--from", "2026-01-02", "--to", "2026-01-01"});
  EXPECT_NE(wrong.code, 0);
  EXPECT_THAT(wrong.output, HasSubstr("is before `from`"));
}

TEST_F(ReconcileSessionTest, DifferencesAreFoundShownAndClosed) {
  const nlohmann::json first = Order("12.50"), second = Order("7.00");
  const std::string good = Write("good.csv", Line(first, "12.50") + Line(second, "7.00"));
  Ran ran = Run({"reconcile", "run", good, "--gateway", "north"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.output, AllOf(HasSubstr("settlement 1: 2 lines of north"), HasSubstr("0 new cases")));
  EXPECT_THAT(Run({"reconcile", "cases"}).output, HasSubstr("no such cases"));

  const std::string dirty = Write("dirty.csv", Line(first, "12.05") + Line(second, "7.00") +
                                                   "refund,01938f2e-7d4b-7c1a-9a55-3f0c2b7f6a11,3.00,EUR,2026-01-31\n");
  ran = Run({"reconcile", "run", dirty, "--gateway", "north", "--name", "good.csv", "--from", "1h", "--to", "0s"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("2 new cases"));
  ran = Run({"reconcile", "cases"});
  EXPECT_THAT(ran.output, AllOf(HasSubstr("amount (charge)"), HasSubstr("12.50 EUR"), HasSubstr("12.05 EUR"),
                                HasSubstr("missing here (refund)"), HasSubstr("3.00 EUR")));
  EXPECT_THAT(Run({"reconcile", "list"}).output, AllOf(HasSubstr("replaced"), HasSubstr("reconciled")));
  EXPECT_THAT(Run({"reconcile", "report", "2"}).output,
              AllOf(HasSubstr("19.05 EUR"), HasSubstr("19.50 EUR"), HasSubstr("2 cases, 2 of them open")));
  EXPECT_THAT(Run({"reconcile", "report", "2", "--format", "html"}).output,
              HasSubstr("<h1>Reconciliation: north</h1>"));
  EXPECT_THAT(Run({"reconcile", "report", "2", "--format", "csv"}).output, HasSubstr("charges,EUR,2,19.05,2,19.50"));

  EXPECT_EQ(Run({"reconcile", "close", "2", "--reason", "another shop's"}).code, 0);
  EXPECT_EQ(Run({"reconcile", "close", "2", "--reason", "another shop's"}).code, 0) << "again";
  EXPECT_THAT(Run({"reconcile", "close", "2", "--reason", "no"}).output, HasSubstr("case 2 is closed: another shop's"));
  EXPECT_THAT(Run({"reconcile", "close", "9", "--reason", "no"}).output, HasSubstr("there is no case 9"));
  EXPECT_EQ(Run({"reconcile", "run", good, "--gateway", "north"}).code, 0);
  EXPECT_THAT(Run({"reconcile", "cases"}).output, HasSubstr("no such cases"));
  EXPECT_THAT(Run({"reconcile", "cases", "--closed-too"}).output,
              AllOf(HasSubstr("closed by itself: proven by settlement 3"), HasSubstr("another shop's")));
  EXPECT_THAT(Run({"audit", "list", "--kind", "case"}).output,
              AllOf(HasSubstr("case.close"), HasSubstr("another shop's"), HasSubstr("ada")));
}

TEST_F(ReconcileSessionTest, ANewerPrintUnderAnotherNameIsRefusedAndNamesTheOneBefore) {
  const nlohmann::json first = Order("12.50"), second = Order("7.00");
  const std::string lines = Line(first, "12.50") + Line(second, "7.00");
  const std::string file = Write("day.csv", lines);
  ASSERT_EQ(Run({"reconcile", "run", file, "--gateway", "north"}).code, 0);
  const std::string newer = Write("day-2.csv", Line(first, "12.05") + Line(second, "7.00"));
  const Ran refused = Run({"reconcile", "run", newer, "--gateway", "north"});
  EXPECT_EQ(refused.code, 4) << refused.output;
  EXPECT_THAT(refused.output, AllOf(HasSubstr("SETTLEMENT_REPEATED"), HasSubstr("2 of its 2 lines"),
                                    HasSubstr("settlement 1, \"day.csv\""), HasSubstr("--name")));
  EXPECT_THAT(Run({"reconcile", "cases"}).output, HasSubstr("no such cases"));
  const Ran replaced = Run({"reconcile", "run", newer, "--gateway", "north", "--name", "day.csv"});
  EXPECT_EQ(replaced.code, 0) << replaced.output;
  EXPECT_THAT(replaced.output, HasSubstr("1 new cases"));
  // One that was taken twice, and stands in a file of its own, is a case.
  const std::string besides =
      Write("besides.csv", Line(second, "7.00") + "charge,01938f2e-7d4b-7c1a-9a55-3f0c2b7f6a11,3.00,EUR,2026-01-31\n");
  EXPECT_EQ(Run({"reconcile", "run", besides, "--gateway", "north", "--from", "1h", "--to", "0s"}).code, 0);
  EXPECT_THAT(Run({"reconcile", "cases"}).output, HasSubstr("twice (charge)"));
}

TEST_F(ReconcileSessionTest, AGatewayThatNobodyKnowsIsRefusedAndTheKnownAreNamed) {
  const std::string path = folder_.path().string() + "/gateways.toml";
  std::ofstream(path) << "[[gateway]]\nname = \"north\"\naddress = \"grpc://127.0.0.1:1\"\n"
                         "[[gateway]]\nname = \"south\"\naddress = \"grpc://127.0.0.1:1\"\ncapture = \"later\"\n";
  Serve({"--gateways-file", path});
  testing::Sql sql(database_.url());
  sql.Exec(
      "INSERT INTO payment_entries (kind, gateway, currency, moved_at, amounts_minor, fees_minor) VALUES "
      "('charge', 'old', 'EUR', '{2026-01-01}', '{100}', '{1}')");
  const std::string file = Write("day.csv", "charge,01938f2e-7d4b-7c1a-9a55-3f0c2b7f6a11,3.00,EUR,2026-01-31\n");
  const Ran refused = Run({"reconcile", "run", file, "--gateway", "nobody"});
  EXPECT_EQ(refused.code, 3) << refused.output;
  EXPECT_THAT(refused.output, AllOf(HasSubstr("GATEWAY_NOT_FOUND"), HasSubstr("north, south")));
  EXPECT_EQ(Run({"reconcile", "run", file, "--gateway", "north"}).code, 0);
  EXPECT_EQ(Run({"reconcile", "run", file, "--gateway", "old"}).code, 0) << "the books of the past have it";
  const Ran unknown = Run({"payments", "summary", "--gateway", "nobody"});
  EXPECT_EQ(unknown.code, 3) << unknown.output;
  EXPECT_THAT(unknown.output, HasSubstr("north, south"));
  EXPECT_THAT(Run({"payments", "summary", "--gateway", "north"}).output, HasSubstr("nothing was charged"));
  EXPECT_THAT(Run({"payments", "summary", "--gateway", "old", "--from", "1h"}).output,
              HasSubstr("nothing was charged"));
  EXPECT_THAT(Run({"payments", "summary", "--gateway", "old"}).output, HasSubstr("1.00 EUR"));
  const std::string listed = Run({"gateway", "list"}).output;
  EXPECT_THAT(listed, AllOf(HasSubstr("CAPTURES"), HasSubstr("at once"), HasSubstr("later")));
}

TEST_F(ReconcileSessionTest, AFileWithAMistakeIsNotSentAtAll) {
  const std::string wrong = Write("wrong.csv", "charge,x,1.00,EUR,2026-01-31\ncharge,x,1.005,EUR,2026-01-31\n");
  const Ran ran = Run({"reconcile", "run", wrong, "--gateway", "north"});
  EXPECT_EQ(ran.code, 2) << ran.output;
  EXPECT_THAT(ran.output, AllOf(HasSubstr("wrong.csv:3: amount: EUR has 2 decimals"), HasSubstr("Nothing was sent.")));
  EXPECT_THAT(Run({"reconcile", "list"}).output, HasSubstr("no settlements"));
  const std::string nobodys = Write("nobodys.csv", "charge,x,1.00,EUR,2026-01-31\n");
  EXPECT_THAT(Run({"reconcile", "run", nobodys, "--gateway", "north"}).output, HasSubstr("lines[0].gateway_reference"));
  EXPECT_THAT(Run({"reconcile", "run", nobodys, "--gateway", "No rth"}).output, HasSubstr("gateway"));
  EXPECT_THAT(Run({"reconcile", "run", nobodys, "--gateway", "n", "--zone", "Mars"}).output,
              HasSubstr("no time zone Mars"));
  EXPECT_THAT(Run({"reconcile", "report", "99"}).output, HasSubstr("there is no settlement 99"));
}

}  // namespace
}  // namespace waybill::cli
