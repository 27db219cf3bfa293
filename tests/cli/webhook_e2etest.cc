// Webhooks by the command line, against a real service. What is sent, tests/e2e/webhooks_e2etest.cc looks at.
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

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class WebhookSessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::ProcessOptions options;
    options.args = {"--listen",    "127.0.0.1:0", "--side-listen",
                    "127.0.0.1:0", "--migrate",   "--webhook-allow-networks",
                    "127.0.0.0/8"};
    options.env = Stores();
    auto started = testing::Process::Start(WAYBILL_ORDER_BINARY, options);
    ASSERT_TRUE(started.ok()) << started.status();
    orders_ = *std::move(started);
    const auto line = orders_->WaitForLine("\"grpc_port\"", absl::Seconds(30));
    ASSERT_TRUE(line.has_value()) << orders_->Output();
    server_ = fmt::format("127.0.0.1:{}", nlohmann::json::parse(*line)["grpc_port"].get<int>());
  }
  std::vector<std::pair<std::string, std::string>> Stores() const {
    return {{"DATABASE_URL", database_.url()}, {"REDIS_URL", redis_.url()}, {"USER", "ada"}};
  }
  Ran Run(std::vector<std::string> args) const {
    auto env = Stores();
    env.emplace_back("WAYBILL_SERVER", server_);
    args.insert(args.begin(), "webhook");
    return RunBinary(WAYBILL_BINARY, std::move(args), std::move(env));
  }

  testing::TestDatabase database_;
  testing::TestRedis redis_;
  std::unique_ptr<testing::Process> orders_;
  std::string server_;
  // Nobody listens there.
  const std::string url_ = fmt::format("http://127.0.0.1:{}/hooks", testing::FreePort());
};

TEST_F(WebhookSessionTest, RegistersChangesAndDeletesAnEndpoint) {
  const Ran made = Run({"endpoint", "create", url_, "--type", "order.*"});
  ASSERT_EQ(made.code, 0) << made.output;
  EXPECT_THAT(made.output, HasSubstr("whsec_"));
  const Ran listed = Run({"endpoint", "list", "--json"});
  ASSERT_EQ(listed.json.size(), 1u) << listed.output;
  EXPECT_THAT(listed.output, Not(HasSubstr("whsec_")));
  EXPECT_EQ(listed.json[0]["url"], url_);
  const std::string id = listed.json[0]["endpoint_id"];
  EXPECT_THAT(Run({"endpoint", "rotate", id, "--overlap", "7d"}).output, HasSubstr("whsec_"));
  EXPECT_THAT(Run({"endpoint", "update", id, "--disable"}).output, HasSubstr("disabled: by its client"));
  const Ran refused = Run({"test", id});
  EXPECT_NE(refused.code, 0);
  EXPECT_THAT(refused.output, HasSubstr("ENDPOINT_DISABLED"));
  EXPECT_THAT(Run({"endpoint", "update", id, "--enable", "--type", "payment.charged"}).output,
              HasSubstr("(payment.charged): enabled"));
  EXPECT_EQ(Run({"endpoint", "delete", id}).code, 0);
  EXPECT_THAT(Run({"endpoint", "list"}).output, HasSubstr("there are no endpoints"));
  const Ran gone = Run({"endpoint", "delete", id});
  EXPECT_NE(gone.code, 0);
  EXPECT_THAT(gone.output, HasSubstr("ENDPOINT_NOT_FOUND"));
}

TEST_F(WebhookSessionTest, SaysWhatIsWrongWithAnEndpoint) {
  for (const auto& [url, type, field] :
       {std::tuple("ftp://a/", "*", "url"), std::tuple("https://user:secret@a/", "*", "url"),
        std::tuple("https://a/", "order.lost", "types[0]")}) {
    const Ran refused = Run({"endpoint", "create", url, "--type", type});
    EXPECT_NE(refused.code, 0);
    EXPECT_THAT(refused.output, HasSubstr(field));
    EXPECT_THAT(refused.output, Not(HasSubstr("secret@")));
  }
  EXPECT_THAT(Run({"endpoint", "list"}).output, HasSubstr("there are no endpoints"));
}

TEST_F(WebhookSessionTest, ShowsReplaysAndDiscardsADelivery) {
  ASSERT_EQ(Run({"endpoint", "create", url_}).code, 0);
  const std::string id = Run({"endpoint", "list", "--json"}).json[0]["endpoint_id"];
  const Ran sent = Run({"test", id, "--json"});
  ASSERT_EQ(sent.json.size(), 1u) << sent.output;
  const std::string event = sent.json[0]["webhook_id"];
  EXPECT_THAT(event, StartsWith("evt_"));
  EXPECT_TRUE(testing::Eventually(absl::Seconds(30), [&] {
    return Run({"show", id, event}).output.find("Connection refused") != std::string::npos;
  }));
  EXPECT_THAT(Run({"list", "--state", "waiting"}).output, HasSubstr(event.substr(0, 20)));
  EXPECT_THAT(Run({"list", "--state", "dead"}).output, HasSubstr("there are no such deliveries"));
  EXPECT_EQ(Run({"replay", id, event}).code, 0);
  EXPECT_THAT(Run({"replay", id, "--dead"}).output, HasSubstr("0 are sent again"));
  EXPECT_NE(Run({"replay", id}).code, 0);
  EXPECT_THAT(Run({"discard", id, event, "--reason", "no longer wanted"}).output, HasSubstr("no longer wanted"));
  EXPECT_THAT(Run({"list", "--state", "discarded", "--json"}).output, HasSubstr("no longer wanted"));
  EXPECT_THAT(Run({"discard", id, event, "--reason", "again"}).output, HasSubstr("DELIVERY_OVER"));
}

TEST_F(WebhookSessionTest, ListsAndShowsWhatGatewaysSaid) {
  EXPECT_THAT(Run({"inbox", "list"}).output, HasSubstr("there are no such events"));
  testing::Sql sql(database_.url());
  sql.Exec(
      "INSERT INTO webhook_inbox (gateway, event_id, event_type, payment_key, amount_minor, currency, body, state, "
      "reason, "
      "settled_at) VALUES ('north', 'evt_1', 'payment.succeeded', 'some-key', 1251, 'EUR', "
      "convert_to(E'name=Ada\\x1b[31m', 'UTF8'), 'attention', 'AMOUNT_MISMATCH', now())");
  const Ran listed = Run({"inbox", "list", "--state", "attention", "--gateway", "north"});
  EXPECT_EQ(listed.code, 0);
  EXPECT_THAT(listed.output, HasSubstr("AMOUNT_MISMATCH"));
  EXPECT_THAT(listed.output, HasSubstr("12.51 EUR"));
  EXPECT_THAT(listed.output, Not(HasSubstr("Ada")));
  EXPECT_THAT(Run({"inbox", "list", "--json"}).output, Not(HasSubstr("Ada")));
  EXPECT_THAT(Run({"inbox", "list", "--state", "late"}).output, HasSubstr("there are no such events"));
  EXPECT_THAT(Run({"inbox", "list", "--order", "x"}).output, HasSubstr("order_id"));
  const Ran shown = Run({"inbox", "show", "north", "evt_1"});
  EXPECT_EQ(shown.code, 0) << shown.output;
  EXPECT_THAT(shown.output, HasSubstr("Ada"));
  EXPECT_THAT(shown.output, HasSubstr("attention: AMOUNT_MISMATCH"));
  EXPECT_THAT(shown.output, Not(HasSubstr("\x1b")));  // nobody paints on an operator's terminal
  const Ran gone = Run({"inbox", "show", "north", "evt_2"});
  EXPECT_NE(gone.code, 0);
  EXPECT_THAT(gone.output, HasSubstr("EVENT_NOT_FOUND"));
  EXPECT_EQ(sql.Value("SELECT count(*) FROM audit_entries WHERE action = 'event.read' AND subject = 'north/evt_1'"),
            "1");
}

}  // namespace
}  // namespace waybill::cli
