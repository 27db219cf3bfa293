#include "services/process/flags.h"

#include <sched.h>

#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace waybill::process {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// What `text` makes of an option --n that is at most 1,000,000,000,000 by CLI11's own check; "" or what is wrong.
template <typename T>
std::string Parse(T& value, const std::string& text) {
  CLI::App app;
  AddInteger(app, "--n", value, "How many")->check(CLI::Range(-1'000'000'000'000.0, 1'000'000'000'000.0));
  try {
    app.parse(std::vector<std::string>{text, "--n"});  // CLI11 takes a vector from its end
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return "";
}

TEST(AddInteger, ReadsDecimalDigitsHoweverManyZerosLead) {
  for (const auto& [text, value] : std::vector<std::pair<std::string, int64_t>>{{"0000001250", 1250},
                                                                                {"010", 10},
                                                                                {"08", 8},
                                                                                {"7", 7},
                                                                                {"0", 0},
                                                                                {"000", 0},
                                                                                {"+5", 5},
                                                                                {"-012", -12},
                                                                                {"-0", 0}}) {
    int64_t plain = 1;
    EXPECT_EQ(Parse(plain, text), "");
    EXPECT_EQ(plain, value) << text;
    std::optional<int> optional;
    EXPECT_EQ(Parse(optional, text), "");
    EXPECT_EQ(optional, value) << text;
  }
}

TEST(AddInteger, RefusesWhatIsNoWholeNumber) {
  for (const std::string text : {"0x10", "0b1", "1e3", "1.0", "1 ", "", "-", "+", "--1", "1'000", "ten"}) {
    int value = 1;
    EXPECT_THAT(Parse(value, text), AllOf(HasSubstr("--n"), HasSubstr("decimal digits"))) << text;
    EXPECT_EQ(value, 1) << text;
  }
}

TEST(AddInteger, RefusesWhatItsTypeCannotHold) {
  int32_t small = 1;
  EXPECT_THAT(Parse(small, "2147483648"), HasSubstr("2147483648 is more than 2147483647"));
  EXPECT_THAT(Parse(small, "-2147483649"), HasSubstr("-2147483649 is less than -2147483648"));
  EXPECT_THAT(Parse(small, "99999999999999999999"), HasSubstr("is more than 2147483647"));
  EXPECT_EQ(Parse(small, "-2147483648"), "");
  EXPECT_EQ(small, -2147483647 - 1);
  uint64_t whole = 1;
  EXPECT_THAT(Parse(whole, "-1"), HasSubstr("-1 is less than 0"));
}

TEST(AddInteger, HoldsTheWholeRangeOfItsType) {
  int64_t largest = 0;
  std::string text = "9223372036854775807";
  CLI::App app;
  AddInteger(app, "--n", largest, "");
  app.parse(std::vector<std::string>{text, "--n"});
  EXPECT_EQ(largest, INT64_MAX);
  app.parse(std::vector<std::string>{"-9223372036854775808", "--n"});
  EXPECT_EQ(largest, INT64_MIN);
  std::optional<uint64_t> seed;
  CLI::App other;
  AddInteger(other, "--seed", seed, "");
  other.parse(std::vector<std::string>{"018446744073709551615", "--seed"});
  EXPECT_EQ(seed, UINT64_MAX);
}

TEST(AddInteger, ChecksLimitsOnWhatItRead) {
  int value = 1;
  CLI::App app;
  AddInteger(app, "--n", value, "")->check(CLI::Range(1, 9));
  EXPECT_THROW(app.parse(std::vector<std::string>{"010", "--n"}), CLI::ValidationError);  // an octal 8 would be within
}

TEST(AddInteger, ReadsTheEnvironmentAlike) {
  setenv("WAYBILL_FLAGS_TEST", "0100", 1);
  int value = 1;
  CLI::App app;
  AddInteger(app, "--n", value, "")->envname("WAYBILL_FLAGS_TEST");
  app.parse(std::vector<std::string>{});
  unsetenv("WAYBILL_FLAGS_TEST");
  EXPECT_EQ(value, 100);
}

TEST(AddInteger, ShowsDefaultAndTypeLikeAnyOption) {
  int value = 7;
  CLI::App app;
  AddInteger(app, "--n", value, "How many")->check(CLI::Range(1, 64))->capture_default_str();
  EXPECT_THAT(app.help(), HasSubstr("--n INT:INT in [1 - 64]=7"));
}

TEST(NumberBetween, TakesFractionsWithinItsLimitsAndNothingElse) {
  double value = 1;
  CLI::App app;
  app.add_option("--n", value)->check(NumberBetween(0.1, 1'000'000.0));
  auto parse = [&app](const std::string& text) -> std::string {
    try {
      app.parse(std::vector<std::string>{text, "--n"});
    } catch (const CLI::ParseError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(parse("2.5e3"), "");
  EXPECT_EQ(value, 2'500);
  EXPECT_EQ(parse("0.1"), "");
  EXPECT_THAT(parse("0.09"), HasSubstr("0.09 is not from 0.1 to 1e+06"));
  EXPECT_THAT(parse("1000001"), HasSubstr("is not from"));
  EXPECT_THAT(parse("inf"), HasSubstr("is not from"));
  for (const std::string text : {"nan", "-nan", "NAN(1)", "", "ten"}) {
    EXPECT_THAT(parse(text), AllOf(HasSubstr("--n"), HasSubstr("is not a number"))) << text;
  }
  EXPECT_EQ(value, 0.1);
}

TEST(CoresOf, AreThoseToRunOnAndNoMoreThanTheQuota) {
  EXPECT_EQ(CoresOf(16, ""), 16);
  EXPECT_EQ(CoresOf(16, "max 100000"), 16);
  EXPECT_EQ(CoresOf(16, "400000 100000"), 4);
  EXPECT_EQ(CoresOf(16, "150000 100000"), 2) << "a begun core counts";
  EXPECT_EQ(CoresOf(16, "10000 100000"), 1);
  EXPECT_EQ(CoresOf(2, "6400000 100000"), 2);
  EXPECT_EQ(CoresOf(0, ""), 1) << "unknown";
  EXPECT_EQ(CoresOf(4, "nonsense"), 4);
  EXPECT_EQ(CoresOf(4, "-1 100000"), 4);
  EXPECT_EQ(CoresOf(4, "100000 0"), 4);
}

TEST(Cores, AreThoseOfTheThreadThatAsks) {
  EXPECT_GE(Cores(), 1);
  std::thread pinned([] {
    cpu_set_t all, one;
    ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
      if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
    }
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(Cores(), 1);
  });
  pinned.join();
}

}  // namespace
}  // namespace waybill::process
