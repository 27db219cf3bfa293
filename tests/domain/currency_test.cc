#include "domain/currency.h"

#include <string>

#include "absl/time/civil_time.h"
#include "gtest/gtest.h"

namespace waybill::domain {
namespace {

TEST(CurrencyExponent, KnowsEveryKindOfMinorUnit) {
  EXPECT_EQ(CurrencyExponent("EUR"), 2);
  EXPECT_EQ(CurrencyExponent("USD"), 2);
  EXPECT_EQ(CurrencyExponent("JPY"), 0);
  EXPECT_EQ(CurrencyExponent("KWD"), 3);
  EXPECT_EQ(CurrencyExponent("CLF"), 4);
}

TEST(CurrencyExponent, FindsTheFirstAndTheLastOfTheTable) {
  EXPECT_EQ(CurrencyExponent("AED"), 2);
  EXPECT_EQ(CurrencyExponent("ZWG"), 2);
}

TEST(CurrencyExponent, RefusesWhatIsNotACurrency) {
  for (const char* code : {"", "E", "EU", "EURO", "eur", "AAA", "ZZZ", "EU\xC3\x89", "'; DROP TABLE order_sagas"}) {
    EXPECT_EQ(CurrencyExponent(code), std::nullopt) << code;
  }
  EXPECT_EQ(CurrencyExponent(std::string("EUR\0", 4)), std::nullopt);
}

TEST(CurrencyExponent, RefusesWhatIsNotMoneyAnyMore) {
  for (const char* code : {"DEM", "HRK", "ANG", "XXX", "XTS", "XAU", "XDR"}) {
    EXPECT_EQ(CurrencyExponent(code), std::nullopt) << code;
  }
}

TEST(TenderEnd, IsTheDayAfterTheLastOne) {
  EXPECT_EQ(TenderEnd("BGN"), absl::FromCivil(absl::CivilDay(2026, 2, 1), absl::UTCTimeZone()));
  EXPECT_EQ(CurrencyExponent("BGN"), 2) << "orders of before are still shown";
  EXPECT_EQ(TenderEnd("EUR"), absl::InfiniteFuture());
  EXPECT_EQ(TenderEnd("no such"), absl::InfiniteFuture());
  for (const Currency& currency : Currencies()) {
    EXPECT_EQ(TenderEnd(currency.code) != absl::InfiniteFuture(), !currency.last_day.empty()) << currency.code;
  }
}

// Counted over every code there could be, so that an entry lost or mistyped in the table does not go unnoticed.
TEST(CurrencyExponent, HoldsTheWholeListAndNothingElse) {
  int known = 0, zero = 0, three = 0, four = 0;
  std::string code = "AAA";
  for (code[0] = 'A'; code[0] <= 'Z'; ++code[0]) {
    for (code[1] = 'A'; code[1] <= 'Z'; ++code[1]) {
      for (code[2] = 'A'; code[2] <= 'Z'; ++code[2]) {
        auto exponent = CurrencyExponent(code);
        known += exponent.has_value();
        zero += exponent == 0;
        three += exponent == 3;
        four += exponent == 4;
      }
    }
  }
  EXPECT_EQ(zero, 17);
  EXPECT_EQ(three, 7);
  EXPECT_EQ(four, 2);
  EXPECT_EQ(known, 166);
}

}  // namespace
}  // namespace waybill::domain
