#include "edge/limits/rules.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_directory.h"

namespace waybill::limits {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

const std::vector<std::string> kMethods = {"waybill.order.v1.OrderService/CreateOrder",
                                           "waybill.order.v1.OrderService/GetOrder"};

absl::StatusOr<std::vector<Rule>> Parse(const std::string& text) { return ParseRules(text, kMethods, "limits.toml"); }

// A rule that is right, with `line` in the place of the one of its field.
std::string With(const std::string& line) {
  const std::vector<std::pair<std::string, std::string>> lines = {{"name", R"(name = "orders")"},
                                                                  {"client", R"(client = "*")"},
                                                                  {"method", R"(method = "*")"},
                                                                  {"limit", "limit = 100"},
                                                                  {"period", R"(period = "1s")"}};
  std::string text = "[[limit]]\n";
  const std::string replaced = line.substr(0, line.find(' '));
  for (const auto& [field, good] : lines) {
    if (field != replaced) text += good + "\n";
  }
  return text + line + "\n";
}

std::string WhyNot(const std::string& text) {
  const auto rules = Parse(text);
  EXPECT_EQ(rules.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(rules.status().message());
}

TEST(RulesTest, AreReadWithTheirDefaults) {
  const auto rules = Parse(R"(
# Comments are fine.
[[limit]]
name = "orders"
client = "*"
method = "waybill.order.v1.OrderService/CreateOrder"
limit = 100
period = "1s"

[[limit]]
name = "shop-a-day"
client = "shop"
method = "waybill.order.v1.OrderService/*"
limit = 100000
period = "24h"
burst = 5000
when_redis_is_away = "closed"
mode = "shadow"
)");
  ASSERT_TRUE(rules.ok()) << rules.status();
  ASSERT_THAT(*rules, SizeIs(2));
  const Rule& orders = (*rules)[0];
  EXPECT_EQ(orders.rate.burst, 100);
  EXPECT_TRUE(orders.open_when_away);
  EXPECT_FALSE(orders.shadow);
  const Rule& shop = (*rules)[1];
  EXPECT_EQ(shop.client, "shop");
  EXPECT_EQ(shop.rate.count, 100'000);
  EXPECT_EQ(shop.rate.period, absl::Hours(24));
  EXPECT_EQ(shop.rate.burst, 5'000);
  EXPECT_FALSE(shop.open_when_away);
  EXPECT_TRUE(shop.shadow);
}

TEST(RulesTest, AnEmptyFileHasNone) {
  const auto rules = Parse("# later\n");
  ASSERT_TRUE(rules.ok());
  EXPECT_THAT(*rules, SizeIs(0));
}

TEST(RulesTest, AMistakeIsToldWithLineAndField) {
  EXPECT_EQ(WhyNot(With(R"(nmae = "orders")")),
            "limits.toml:7: nmae is no field of a limit; these are: name, client, method, limit, period, burst, "
            "when_redis_is_away, mode");
  EXPECT_THAT(WhyNot(With(R"(name = "Orders!")")), HasSubstr("limits.toml:6: name is not 1 to 64 letters"));
  EXPECT_THAT(WhyNot(With(R"(client = "a shop")")), HasSubstr("limits.toml:6: client is neither"));
  EXPECT_THAT(WhyNot(With(R"(method = "waybill.order.v1.OrderService/MakeOrder")")),
              HasSubstr("limits.toml:6: method \"waybill.order.v1.OrderService/MakeOrder\" is none of this service"));
  EXPECT_THAT(WhyNot(With(R"(method = "waybill.*")")), HasSubstr("method \"waybill.*\" is none"));
  EXPECT_THAT(WhyNot(With("limit = 0")), HasSubstr("limits.toml:6: limit is not a whole number from 1 to 1000000"));
  EXPECT_THAT(WhyNot(With("limit = 1.5")), HasSubstr("limit is not a whole number"));
  EXPECT_THAT(WhyNot(With("burst = 1000001")), HasSubstr("burst is not a whole number"));
  EXPECT_THAT(WhyNot(With("period = 60")), HasSubstr("limits.toml:6: period is not a text in quotes"));
  EXPECT_THAT(WhyNot(With(R"(period = "-1s")")), HasSubstr("period is not a duration"));
  EXPECT_THAT(WhyNot(With(R"(period = "inf")")), HasSubstr("period is not a duration"));
  EXPECT_THAT(WhyNot(With(R"(when_redis_is_away = "maybe")")), HasSubstr("is neither \"open\" nor \"closed\""));
  EXPECT_THAT(WhyNot(With(R"(mode = "off")")), HasSubstr("mode is neither \"enforce\" nor \"shadow\""));
  EXPECT_EQ(WhyNot("[[limit]]\nname = \"orders\"\n"), "limits.toml:1: client is missing");
  EXPECT_THAT(WhyNot(With("mode = \"enforce\"") + With("mode = \"enforce\"")),
              HasSubstr("limits.toml:9: name \"orders\" is another rule's already"));
  EXPECT_THAT(WhyNot("[limit]\n"), HasSubstr("each rule is a table [[limit]]"));
  EXPECT_THAT(WhyNot("[[limits]]\n"), HasSubstr("limits.toml:1: limits is unknown"));
  EXPECT_THAT(WhyNot("\n[[limit\n"), HasSubstr("limits.toml:2: "));
}

TEST(RulesTest, AFileThatIsNotThereIsAMistake) {
  const testing::TempDirectory directory;
  EXPECT_THAT(std::string(ReadRules((directory.path() / "none.toml").string(), kMethods).status().message()),
              HasSubstr("No such file"));
  EXPECT_THAT(std::string(ReadRules(directory.path().string(), kMethods).status().message()),
              HasSubstr("is a directory"));
}

TEST(RulesTest, AServiceIsNamedByAStar) {
  Rule rule;
  rule.method = "waybill.order.v1.OrderService/*";
  EXPECT_TRUE(IsAbout(rule, kMethods[0]));
  EXPECT_FALSE(IsAbout(rule, "waybill.order.v1.OrderServiceTwo/Get"));
  EXPECT_FALSE(IsAbout(rule, "waybill.fleet.v1.DriverService/PutDrivers"));
  rule.method = "*";
  EXPECT_TRUE(IsAbout(rule, kMethods[0]));
  rule.method = "/*";
  EXPECT_FALSE(IsAbout(rule, kMethods[0]));
}

}  // namespace
}  // namespace waybill::limits
