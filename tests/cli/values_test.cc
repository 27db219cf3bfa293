#include "cli/values.h"

#include <string>

#include "gtest/gtest.h"

namespace waybill::cli {
namespace {

TEST(ParseDuration, AddsUpNumbersWithUnits) {
  EXPECT_EQ(*ParseDuration("250ms"), absl::Milliseconds(250));
  EXPECT_EQ(*ParseDuration("30s"), absl::Seconds(30));
  EXPECT_EQ(*ParseDuration("5m"), absl::Minutes(5));
  EXPECT_EQ(*ParseDuration("1h30m"), absl::Minutes(90));
  EXPECT_EQ(*ParseDuration("7d"), absl::Hours(168));
  EXPECT_EQ(*ParseDuration("0s"), absl::ZeroDuration());
}

TEST(ParseDuration, RefusesWhatHasNoUnitOrIsNegativeOrAbsurd) {
  for (const char* text : {"", "5", "m", "5 m", "-5m", "5x", "1.5s", "5mm", "99999999999999999999s", "9999999999d"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
  EXPECT_EQ(ParseDuration("5").status().message(),
            "\"5\" is not a duration; write it like 250ms, 30s, 5m, 1h30m or 7d");
}

TEST(ParsePoint, TakesDegreesInRange) {
  EXPECT_EQ(*ParsePoint("52.52,13.405"), (domain::GeoPoint{52.52, 13.405}));
  EXPECT_EQ(*ParsePoint("-90,-180"), (domain::GeoPoint{-90, -180}));
}

TEST(ParsePoint, RefusesEverythingElse) {
  for (const char* text :
       {"", "52.52", "52.52,", ",1", "91,0", "0,181", "nan,0", "0,inf", "1,2,3", "1, 2", "1e1,0", "a,b"}) {
    EXPECT_FALSE(ParsePoint(text).ok()) << text;
  }
}

TEST(ParsePair, SplitsAtTheFirstEqualsSign) {
  EXPECT_EQ(*ParsePair("gate=7"), std::make_pair(std::string("gate"), std::string("7")));
  EXPECT_EQ(*ParsePair("note="), std::make_pair(std::string("note"), std::string()));
  EXPECT_EQ(*ParsePair("a=b=c"), std::make_pair(std::string("a"), std::string("b=c")));
  EXPECT_FALSE(ParsePair("gate").ok());
  EXPECT_FALSE(ParsePair("=7").ok());
}

TEST(ParseMoment, TakesATimeADateOrHowLongAgo) {
  absl::Time now = absl::FromUnixSeconds(1'800'000'000);  // 2027-01-15T08:00:00Z
  EXPECT_EQ(*ParseMoment("2027-01-15T08:00:00Z", now), now);
  EXPECT_EQ(*ParseMoment("2027-01-15T10:00:00+02:00", now), now);
  EXPECT_EQ(*ParseMoment("2027-01-15", now), now - absl::Hours(8));
  EXPECT_EQ(*ParseMoment("2h", now), now - absl::Hours(2));
  for (const char* text : {"", "yesterday", "2027-13-01", "2027-01-15T08:00:00"}) {
    EXPECT_FALSE(ParseMoment(text, now).ok()) << text;
  }
}

TEST(ShowDuration, KeepsTwoUnitsThatMatter) {
  EXPECT_EQ(ShowDuration(absl::ZeroDuration()), "0 ms");
  EXPECT_EQ(ShowDuration(absl::Microseconds(430)), "0.4 ms");
  EXPECT_EQ(ShowDuration(absl::Milliseconds(999)), "999 ms");
  EXPECT_EQ(ShowDuration(absl::Milliseconds(1250)), "1.25 s");
  EXPECT_EQ(ShowDuration(absl::Milliseconds(59999)), "59.99 s");
  EXPECT_EQ(ShowDuration(absl::Seconds(192)), "3m 12s");
  EXPECT_EQ(ShowDuration(absl::Minutes(303)), "5h 03m");
  EXPECT_EQ(ShowDuration(absl::Hours(98)), "4d 02h");
  EXPECT_EQ(ShowDuration(absl::Seconds(-5)), "-5.00 s");
  EXPECT_EQ(ShowDuration(absl::InfiniteDuration()), "forever");
}

TEST(ShowTime, IsUtcWithMilliseconds) {
  absl::Time time = absl::FromUnixMillis(1'800'000'000'250);
  EXPECT_EQ(ShowTime(time), "2027-01-15T08:00:00.250Z");
  EXPECT_EQ(ShowTimeOfDay(time), "08:00:00.250");
}

}  // namespace
}  // namespace waybill::cli
