#include "cli/money.h"

#include <limits>
#include <random>
#include <string>

#include "gtest/gtest.h"

namespace waybill::cli {
namespace {

TEST(ParseMoney, CountsInTheMinorUnitOfTheCurrency) {
  EXPECT_EQ(*ParseMoney("12.50", "EUR"), 1250);
  EXPECT_EQ(*ParseMoney("12.5", "EUR"), 1250);
  EXPECT_EQ(*ParseMoney("12", "EUR"), 1200);
  EXPECT_EQ(*ParseMoney("0.01", "USD"), 1);
  EXPECT_EQ(*ParseMoney("007", "USD"), 700);
  EXPECT_EQ(*ParseMoney("1250", "JPY"), 1250);
  EXPECT_EQ(*ParseMoney("1.234", "KWD"), 1234);
  EXPECT_EQ(*ParseMoney("0.0001", "CLF"), 1);
}

TEST(ParseMoney, IsExactWhereADoubleWouldNotBe) {
  EXPECT_EQ(*ParseMoney("90071992547409.93", "USD"), 9007199254740993);
  EXPECT_EQ(*ParseMoney("92233720368547758.07", "USD"), std::numeric_limits<int64_t>::max());
}

TEST(ParseMoney, RefusesWhatDoesNotFit) {
  for (const char* text : {"92233720368547758.08", "99999999999999999999999"}) {
    EXPECT_EQ(ParseMoney(text, "USD").status().message(), std::string("amount: \"") + text + "\" is too large");
  }
}

TEST(ParseMoney, RefusesMoreDecimalsThanTheCurrencyHas) {
  EXPECT_EQ(ParseMoney("1.005", "EUR").status().message(), "amount: EUR has 2 decimals, \"1.005\" has 3");
  EXPECT_EQ(ParseMoney("1.0", "JPY").status().message(), "amount: JPY has 0 decimals, \"1.0\" has 1");
}

TEST(ParseMoney, RefusesWhatIsNotAnAmount) {
  for (const char* text :
       {"", ".", ".5", "5.", "-1", "+1", "1e3", "1,50", "1.2.3", " 1", "1 ", "0x10", "nan", "inf", "١"}) {
    auto money = ParseMoney(text, "EUR");
    ASSERT_FALSE(money.ok()) << text;
    EXPECT_EQ(money.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(money.status().message()).find("like 12.50"), std::string::npos) << money.status();
  }
}

TEST(ParseMoney, RefusesNothing) {
  EXPECT_FALSE(ParseMoney("0", "EUR").ok());
  EXPECT_FALSE(ParseMoney("0.00", "EUR").ok());
}

TEST(ParseMoney, RefusesAnUnknownCurrency) {
  EXPECT_EQ(ParseMoney("1", "eur").status().message(), "currency: \"eur\" is not an ISO 4217 code; write it like EUR");
}

TEST(ShowMoney, PutsThePointWhereTheCurrencyHasIt) {
  EXPECT_EQ(ShowMoney(1250, "EUR"), "12.50 EUR");
  EXPECT_EQ(ShowMoney(5, "EUR"), "0.05 EUR");
  EXPECT_EQ(ShowMoney(0, "EUR"), "0.00 EUR");
  EXPECT_EQ(ShowMoney(1250, "JPY"), "1250 JPY");
  EXPECT_EQ(ShowMoney(1, "KWD"), "0.001 KWD");
  EXPECT_EQ(ShowMoney(-1250, "EUR"), "-12.50 EUR");
  EXPECT_EQ(ShowMoney(std::numeric_limits<int64_t>::min(), "USD"), "-92233720368547758.08 USD");
  EXPECT_EQ(ShowMoney(7, "ABC"), "7 minor units of ABC");
}

TEST(ShowMoney, IsReadBackByParseMoney) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 2'000; ++i) {
    int64_t minor = static_cast<int64_t>(random() >> (1 + random() % 62)) + 1;
    for (const char* currency : {"EUR", "JPY", "KWD", "CLF"}) {
      std::string shown = ShowMoney(minor, currency);
      EXPECT_EQ(*ParseMoney(shown.substr(0, shown.size() - 4), currency), minor) << shown;
    }
  }
}

}  // namespace
}  // namespace waybill::cli
