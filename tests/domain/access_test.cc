#include "domain/access.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/random.h"

namespace waybill::domain {
namespace {

using ::testing::ElementsAre;

TEST(Scopes, AreNamedAndParsed) {
  for (const Scope scope : kScopes) EXPECT_EQ(ParseScope(Name(scope)), scope);
  EXPECT_EQ(ParseScope("orders"), std::nullopt);
  EXPECT_EQ(ParseScope(""), std::nullopt);
  EXPECT_THAT((Scopes{Scope::kOps, Scope::kOrdersWrite}.Names()), ElementsAre("orders:write", "ops"));
}

TEST(Scopes, AdminHasAllAndOpsReads) {
  for (const Scope given : kScopes) {
    for (const Scope wanted : kScopes) {
      const bool reads = wanted == Scope::kOrdersRead || wanted == Scope::kLocationsRead ||
                         wanted == Scope::kLedgerRead || wanted == Scope::kPayoutsRead;
      const bool has = given == wanted || given == Scope::kAdmin || (given == Scope::kOps && reads);
      EXPECT_EQ(Scopes{given}.Has(wanted), has) << Name(given) << " " << Name(wanted);
    }
    EXPECT_FALSE(Scopes().Has(given));
  }
}

TEST(DriverPatterns, MatchIdsBeginningsOrAll) {
  const DriverPatterns some({"ann", "north-*", "south-1*"});
  for (const char* id : {"ann", "north-", "north-7", "south-1", "south-12"}) EXPECT_TRUE(some.Match(id)) << id;
  for (const char* id : {"", "an", "anna", "north", "south-2", "west-1", "*"}) EXPECT_FALSE(some.Match(id)) << id;
  EXPECT_FALSE(DriverPatterns().Match("ann"));
  EXPECT_TRUE(DriverPatterns::All().Match("ann"));
  EXPECT_TRUE(DriverPatterns({"bob", "*"}).Match("ann"));
}

// Of few letters, so that patterns cover each other in every way.
TEST(DriverPatterns, MatchWhatEachPatternAloneMatches) {
  SeededRandom random(7);
  const auto text = [&](uint64_t size_max) {
    std::string drawn(1 + random.Next() % size_max, 'a');
    for (char& c : drawn) c = static_cast<char>('a' + random.Next() % 3);
    return drawn;
  };
  int matches = 0;
  for (int round = 0; round < 3'000; ++round) {
    std::vector<std::string> patterns(random.Next() % 6);
    for (std::string& pattern : patterns) pattern = text(4) + (random.Next() % 2 == 0 ? "*" : "");
    const std::string id = text(6);
    bool expected = false;
    for (std::string pattern : patterns) {
      const bool exact = pattern.back() != '*';
      if (!exact) pattern.pop_back();
      expected = expected || (exact ? id == pattern : id.starts_with(pattern));
    }
    EXPECT_EQ(DriverPatterns(patterns).Match(id), expected) << id;
    matches += expected ? 1 : 0;
  }
  EXPECT_GT(matches, 300);
  EXPECT_LT(matches, 2'700);
}

TEST(DriverPatterns, SayWhatIsWrongWithOne) {
  for (const char* fine : {"*", "a", "a*", "north-7*"}) EXPECT_EQ(FindPatternFault(fine), "") << fine;
  EXPECT_NE(FindPatternFault(""), "");
  EXPECT_NE(FindPatternFault("a*b"), "");
  EXPECT_NE(FindPatternFault("**"), "");
  EXPECT_NE(FindPatternFault("two words"), "");
  EXPECT_NE(FindPatternFault(std::string(129, 'a')), "");
}

}  // namespace
}  // namespace waybill::domain
