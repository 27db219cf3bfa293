#include "payments/gateways_file.h"

#include <string>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace waybill::payments {
namespace {

using ::testing::HasSubstr;

constexpr char kNorth[] = "[[gateway]]\nname = \"north\"\naddress = \"grpc://127.0.0.1:7420\"\n";

TEST(GatewaysFile, ReadsGatewaysAndRules) {
  const absl::StatusOr<Routes> routes = ParseRoutes(R"(
[[rule]]
client = "acme"
currencies = ["EUR", "JPY"]
amount_min = 100
amount_max = 5000
gateways = ["south"]

[[gateway]]
name = "north"
address = "grpc://127.0.0.1:7420"

[[gateway]]
name = "south"
address = "grpcs://pay.example:443"
weight = 250
cost_ppm = 15000
fallback = true
currencies = ["EUR"]
amount_min = 50
amount_max = 100000
)",
                                                    "gateways.toml");
  ASSERT_TRUE(routes.ok()) << routes.status();
  Gateway north, south;
  north.name = "north";
  north.address = "grpc://127.0.0.1:7420";
  south.name = "south";
  south.address = "grpcs://pay.example:443";
  south.weight = 250;
  south.cost_ppm = 15'000;
  south.fallback = true;
  south.takes = {{"EUR"}, 50, 100'000};
  EXPECT_EQ(routes->gateways, (std::vector<Gateway>{north, south}));
  EXPECT_EQ(routes->rules, (std::vector<Rule>{{"acme", {{"EUR", "JPY"}, 100, 5000}, {"south"}}}));
  EXPECT_EQ(Describe(*routes),
            "north weight 100 cost 0 ppm; south weight 250 cost 15000 ppm fallback EUR from 50 to 100000; "
            "acme EUR JPY 100-5000: south");
}

TEST(GatewaysFile, EachMistakeIsNamedWithItsLine) {
  const struct {
    std::string text, says;
  } cases[] = {
      {"", "f: there is no [[gateway]]"},
      {"x = 1\n", "f:1: x is unknown"},
      {"gateway = 1\n", "f:1: gateway is no list of tables"},
      {"[[gateway]]\naddress = \"grpc://a:1\"\n", "f:1: name is missing"},
      {"[[gateway]]\nname = \"North\"\n", "f:2: name is not 1 to 40"},
      {fmt::format("[[gateway]]\nname = \"{}\"\n", std::string(41, 'a')), "f:2: name is not 1 to 40"},
      {"[[gateway]]\nname = \"a\"\n", "f:1: address is missing"},
      {"[[gateway]]\nname = \"a\"\naddress = \"ftp://a\"\n", "f:3: address is none of"},
      {"[[gateway]]\nname = \"a\"\naddress = \"grpc://\"\n", "f:3: address is none of"},
      {"[[gateway]]\nname = \"a\"\naddress = \"http://a/pay\"\n", "f:3: address is none of"},
      {"[[gateway]]\nname = \"a\"\naddress = \"http://u:p@a:1\"\n", "f:3: address is none of"},
      {"[[gateway]]\nname = \"a\"\naddress = \"http://a:1\"\n", "currencies has to name the one currency"},
      {"[[gateway]]\nname = \"a\"\naddress = \"https://a\"\ncurrencies = [\"EUR\", \"USD\"]\n",
       "f:4: currencies has to name the one currency"},
      {std::string(kNorth) + kNorth, "f:5: name \"north\" is another gateway's"},
      {std::string(kNorth) + "weight = 0\n", "f:4: weight is not a whole number from 1 to 1000"},
      {std::string(kNorth) + "weight = 1001\n", "f:4: weight is not"},
      {std::string(kNorth) + "weight = 1.5\n", "f:4: weight is not"},
      {std::string(kNorth) + "cost_ppm = -1\n", "f:4: cost_ppm is not a whole number from 0 to 1000000"},
      {std::string(kNorth) + "fallback = 1\n", "f:4: fallback is neither true nor false"},
      {std::string(kNorth) + "currencies = \"EUR\"\n", "f:4: currencies is not a list"},
      {std::string(kNorth) + "currencies = []\n", "f:4: currencies is not a list"},
      {std::string(kNorth) + "currencies = [\"EURO\"]\n", "f:4: currencies names \"EURO\""},
      {std::string(kNorth) + "amount_min = 0\n", "f:4: amount_min is not"},
      {std::string(kNorth) + "amount_min = 5\namount_max = 4\n", "f:5: amount_max is less than amount_min"},
      {std::string(kNorth) + "colour = 1\n", "f:4: colour is no field of a gateway"},
      {std::string(kNorth) + "[[rule]]\n", "f:4: gateways is missing"},
      {std::string(kNorth) + "[[rule]]\ngateways = [\"west\"]\n", "f:5: gateways names \"west\""},
      {std::string(kNorth) + "[[rule]]\nclient = \"a b\"\ngateways = [\"north\"]\n", "f:5: client is no client's name"},
      {std::string(kNorth) + "[[rule]]\nclient = \"\"\ngateways = [\"north\"]\n", "f:5: client is no client's name"},
      {std::string(kNorth) + "capture = \"never\"\n", "capture is neither \"now\" nor \"later\""},
      {std::string(kNorth) + "capture = true\n", "f:4: capture is not a text in quotes"},
      {"[[gateway]]\nname = \"p\"\naddress = \"http://127.0.0.1:1\"\ncurrencies = [\"EUR\"]\ncapture = \"later\"\n",
       "f:5: capture is \"later\", and a processor (http) holds no money"},
      {std::string(kNorth) + "[[rule]]\nmethod = \"card\"\n", "f:5: method is no field of a rule"},
  };
  for (const auto& [text, says] : cases) {
    const absl::StatusOr<Routes> routes = ParseRoutes(text, "f");
    EXPECT_TRUE(absl::IsInvalidArgument(routes.status())) << text;
    EXPECT_THAT(std::string(routes.status().message()), HasSubstr(says)) << text;
  }
}

TEST(GatewaysFile, ARunningProcessKeepsNamesAndAddresses) {
  const auto parse = [](const std::string& text) { return *ParseRoutes(text, "f"); };
  const Routes before = parse(kNorth);
  EXPECT_TRUE(SameGateways(before, parse(std::string(kNorth) + "weight = 3\n")));
  EXPECT_TRUE(SameGateways(before, parse(std::string(kNorth) + "capture = \"now\"\n")));
  EXPECT_FALSE(SameGateways(before, parse(std::string(kNorth) + "capture = \"later\"\n")));
  EXPECT_TRUE(parse(std::string(kNorth) + "capture = \"later\"\n").gateways[0].capture_later);
  EXPECT_FALSE(before.gateways[0].capture_later);
  EXPECT_FALSE(SameGateways(before, parse("[[gateway]]\nname = \"north\"\naddress = \"grpc://127.0.0.1:1\"\n")));
  EXPECT_FALSE(SameGateways(before, parse("[[gateway]]\nname = \"south\"\naddress = \"grpc://127.0.0.1:7420\"\n")));
}

TEST(GatewaysFile, ThatCannotBeReadIsAMistakeToo) {
  EXPECT_TRUE(absl::IsInvalidArgument(ReadRoutes("/nowhere/gateways.toml").status()));
}

}  // namespace
}  // namespace waybill::payments
