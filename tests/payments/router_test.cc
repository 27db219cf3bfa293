#include "payments/router.h"

#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"

namespace waybill::payments {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

Gateway Named(std::string name, int weight = 100, int64_t cost_ppm = 0) {
  Gateway gateway;
  gateway.name = std::move(name);
  gateway.address = "grpc://127.0.0.1:1";
  gateway.weight = weight;
  gateway.cost_ppm = cost_ppm;
  return gateway;
}

class RouterTest : public ::testing::Test {
 protected:
  RouterTest() { router_.Use(Routes{{Named("north"), Named("south")}, {}}); }

  static Payment Of(int64_t amount_minor = 1000, std::string_view currency = "EUR", std::string_view client = "shop") {
    return {client, currency, amount_minor};
  }
  std::map<std::string, int> Draw(int times, Payment payment = Of()) {
    std::map<std::string, int> drawn;
    for (int i = 0; i < times; ++i) ++drawn[router_.Choose(payment).value_or("none")];
    return drawn;
  }
  void Say(const std::string& gateway, storage::ProbeOutcome outcome,
           std::optional<absl::Duration> min_response = std::nullopt) {
    storage::GatewayProbe probe;
    probe.gateway = gateway;
    probe.answer = storage::ProbeAnswer{outcome, min_response};
    probe.asked_at = absl::UnixEpoch() + absl::Seconds(++said_);
    router_.Use({probe});
  }
  void TakeOut(const std::string& gateway) {
    while (!router_.IsOut(gateway)) {
      time_.Advance(absl::Milliseconds(150));
      router_.Failed(gateway);
    }
  }

  waybill::testing::ManualTime time_;
  SeededRandom random_{1};
  Router router_{time_, random_};
  int said_ = 0;
};

TEST_F(RouterTest, SharesByWeightWhatIsAsGood) {
  router_.Use(Routes{{Named("north", 300), Named("south", 100)}, {}});
  const std::map<std::string, int> drawn = Draw(4000);
  EXPECT_NEAR(drawn.at("north"), 3000, 150);
  EXPECT_NEAR(drawn.at("south"), 1000, 150);
}

TEST_F(RouterTest, TheSameChanceChoosesTheSame) {
  const auto story = [this] {
    SeededRandom random(7);
    Router router(time_, random);
    router.Use(Routes{{Named("north"), Named("south"), Named("west")}, {}});
    std::vector<std::string> chosen;
    for (int i = 0; i < 50; ++i) chosen.push_back(*router.Choose(Of()));
    return chosen;
  };
  EXPECT_EQ(story(), story());
}

TEST_F(RouterTest, TheCheaperGatewayTakesAll) {
  router_.Use(Routes{{Named("north", 1000, 20'000), Named("south", 1, 15'000)}, {}});
  EXPECT_THAT(Draw(100), ElementsAre(std::pair("south", 100)));
}

TEST_F(RouterTest, ASlowGatewayIsPassedOverWhateverItCosts) {
  router_.Use(Routes{{Named("north", 100, 20'000), Named("south", 100, 10'000)}, {}});
  router_.Answered("north", absl::Milliseconds(10));
  router_.Answered("south", absl::Milliseconds(59));
  EXPECT_THAT(Draw(10), ElementsAre(std::pair("south", 10))) << "not much slower";
  for (int i = 0; i < 3; ++i) router_.Answered("south", absl::Milliseconds(61));
  EXPECT_THAT(Draw(10), ElementsAre(std::pair("north", 10)));
}

TEST_F(RouterTest, OneThatWasSlowIsAskedAgain) {
  for (int i = 0; i < 64; ++i) {
    router_.Answered("north", absl::Milliseconds(300));
    router_.Answered("south", absl::Milliseconds(20));
  }
  time_.Advance(absl::Seconds(59));
  for (int i = 0; i < 64; ++i) router_.Answered("south", absl::Milliseconds(20));
  EXPECT_THAT(Draw(10), ElementsAre(std::pair("south", 10)));
  time_.Advance(absl::Seconds(2));
  EXPECT_GT(Draw(100)["north"], 0) << "nothing is known of it any more";
  router_.Answered("north", absl::Milliseconds(300));
  EXPECT_THAT(Draw(10), ElementsAre(std::pair("south", 10))) << "it is as slow as before";
  time_.Advance(absl::Seconds(61));
  router_.Answered("south", absl::Milliseconds(20));
  router_.Answered("north", absl::Milliseconds(20));
  EXPECT_GT(Draw(100)["north"], 0);
}

TEST_F(RouterTest, OneThatWasNeverAskedMakesNoOtherSlow) {
  router_.Use(Routes{{Named("north", 100, 10'000), Named("south", 100, 20'000)}, {}});
  router_.Answered("north", absl::Milliseconds(300));
  EXPECT_THAT(Draw(10), ElementsAre(std::pair("north", 10)));
}

TEST_F(RouterTest, AFallbackIsForWhereNoOtherWillDo) {
  Gateway fallback = Named("south");
  fallback.fallback = true;
  router_.Use(Routes{{Named("north", 100, 50'000), fallback}, {}});
  EXPECT_THAT(Draw(10), ElementsAre(std::pair("north", 10)));
  TakeOut("north");
  EXPECT_THAT(Draw(10), ElementsAre(std::pair("south", 10)));
}

TEST_F(RouterTest, AGatewayTakesItsCurrenciesAndAmountsOnly) {
  Gateway euros = Named("euros");
  euros.takes.currencies = {"EUR"};
  euros.takes.amount_min = 100;
  euros.takes.amount_max = 200;
  router_.Use(Routes{{euros}, {}});
  EXPECT_THAT(router_.Choose(Of(100)), Optional(std::string("euros")));
  EXPECT_THAT(router_.Choose(Of(200)), Optional(std::string("euros")));
  EXPECT_EQ(router_.Choose(Of(99)), std::nullopt);
  EXPECT_EQ(router_.Choose(Of(201)), std::nullopt);
  EXPECT_EQ(router_.Choose(Of(150, "USD")), std::nullopt);
}

TEST_F(RouterTest, TheFirstRuleThatHoldsDecides) {
  Rule acme{"acme", {}, {"south"}};
  Rule big{"", {{"EUR"}, 5000}, {"north"}};
  router_.Use(Routes{{Named("north"), Named("south"), Named("west")}, {acme, big}});
  EXPECT_THAT(Draw(20, Of(9000, "EUR", "acme")), ElementsAre(std::pair("south", 20)));
  EXPECT_THAT(Draw(20, Of(9000)), ElementsAre(std::pair("north", 20)));
  EXPECT_EQ(Draw(200, Of(4999)).size(), 3u) << "no rule: all";
}

TEST_F(RouterTest, DrainedGatewaysGetNothing) {
  router_.Use({{"north", true, std::nullopt}});
  EXPECT_THAT(Draw(20), ElementsAre(std::pair("south", 20)));
  EXPECT_EQ(router_.ChooseOther(Of(), std::vector<std::string>{"south"}), std::nullopt);
  router_.Use({{"north", true, std::nullopt}, {"south", true, std::nullopt}});
  EXPECT_EQ(router_.Choose(Of()), std::nullopt);
  router_.Use(std::vector<storage::GatewaySetting>{});
  EXPECT_EQ(Draw(200).size(), 2u);
}

TEST_F(RouterTest, WhatOperatorsSayOutlastsTheFileAndTheFileWhatWasLearnt) {
  TakeOut("south");
  router_.Use({{"north", false, 7}});
  router_.Use(Routes{{Named("north", 50), Named("south", 60)}, {}});
  const std::vector<Router::View> views = router_.List();
  ASSERT_EQ(views.size(), 2u);
  EXPECT_EQ(views[0].gateway.weight, 7);
  EXPECT_EQ(views[1].gateway.weight, 60);
  EXPECT_FALSE(views[0].out_for.has_value());
  EXPECT_TRUE(views[1].out_for.has_value());
}

TEST_F(RouterTest, AnOutageSendsOrdersElsewhereUntilOneExploresIt) {
  TakeOut("north");
  EXPECT_THAT(Draw(50), ElementsAre(std::pair("south", 50)));
  time_.Advance(absl::Seconds(30));
  EXPECT_THAT(Draw(50), ElementsAre(std::pair("north", 1), std::pair("south", 49)));
  for (int i = 0; i < 3; ++i) router_.Answered("north", absl::Milliseconds(1));
  EXPECT_EQ(Draw(200).size(), 2u);
}

// A repeated request is sent nowhere.
TEST_F(RouterTest, AnOrderThatIsNotMadeExploresNothing) {
  TakeOut("north");
  time_.Advance(absl::Seconds(30));
  int64_t turn = 0;
  EXPECT_THAT(router_.Choose(Of(), &turn), Optional(std::string("north")));
  EXPECT_GT(turn, 0);
  router_.NotAsked("north", turn);
  EXPECT_THAT(router_.Choose(Of()), Optional(std::string("north")));
  EXPECT_THAT(Draw(20), ElementsAre(std::pair("south", 20)));
}

TEST_F(RouterTest, OnlyTheTurnThatWasTakenIsGivenBack) {
  TakeOut("north");
  int64_t turn = 0, none = 0;
  time_.Advance(absl::Seconds(30));
  EXPECT_THAT(router_.Choose(Of(), &turn), Optional(std::string("north")));
  EXPECT_THAT(router_.Choose(Of(), &none), Optional(std::string("south")));
  EXPECT_EQ(none, 0);
  router_.NotAsked("north", none);
  EXPECT_THAT(Draw(20), ElementsAre(std::pair("south", 20))) << "who explores it is under way";
  time_.Advance(absl::Seconds(30));
  EXPECT_THAT(router_.Choose(Of()), Optional(std::string("north")));
  router_.NotAsked("north", turn);
  EXPECT_THAT(Draw(20), ElementsAre(std::pair("south", 20))) << "another has the turn now";
  TakeOut("south");
  EXPECT_NE(router_.Choose(Of(), &none), std::nullopt) << "all are out: it is tried";
  EXPECT_EQ(none, 0) << "in nobody's turn";
}

TEST_F(RouterTest, WhatOneSaysOfAPaymentAloneIsHeardOfIt) {
  TakeOut("north");
  time_.Advance(absl::Seconds(30));
  EXPECT_THAT(router_.Choose(Of()), Optional(std::string("north")));
  router_.Spoke("north");
  EXPECT_TRUE(router_.IsOut("north")) << "that is no answer";
  EXPECT_THAT(router_.Choose(Of()), Optional(std::string("north"))) << "and the next explores it at once";
  EXPECT_THAT(Draw(20), ElementsAre(std::pair("south", 20)));
  Say("north", storage::ProbeOutcome::kFailing);
  router_.Spoke("north");
  EXPECT_THAT(Draw(20), ElementsAre(std::pair("south", 20))) << "it says itself that it fails";
}

TEST_F(RouterTest, OneThatSaysThatItFailsGetsNothingUntilItSaysOtherwise) {
  Say("north", storage::ProbeOutcome::kFailing);
  EXPECT_THAT(Draw(50), ElementsAre(std::pair("south", 50)));
  EXPECT_EQ(router_.ChooseOther(Of(), std::vector<std::string>{"south"}), std::nullopt);
  time_.Advance(absl::Seconds(5));
  Say("north", storage::ProbeOutcome::kHealthy);
  EXPECT_THAT(Draw(50), ElementsAre(std::pair("north", 1), std::pair("south", 49)));
  for (int i = 0; i < 3; ++i) router_.Answered("north", absl::Milliseconds(1));
  EXPECT_EQ(Draw(200).size(), 2u);
}

TEST_F(RouterTest, WhatWasHeardBeforeIsNothingNew) {
  storage::GatewayProbe probe;
  probe.gateway = "north";
  probe.answer = storage::ProbeAnswer{storage::ProbeOutcome::kHealthy, std::nullopt};
  probe.asked_at = absl::UnixEpoch();
  TakeOut("north");
  time_.Advance(absl::Seconds(5));
  router_.Use({probe});
  EXPECT_THAT(router_.Choose(Of()), Optional(std::string("north")));
  for (int i = 0; i < 5; ++i) {
    router_.Use({probe});
    EXPECT_THAT(router_.Choose(Of()), Optional(std::string("south")));
  }
  ASSERT_TRUE(router_.Probe("north").has_value());
  time_.Advance(absl::Seconds(3));
  EXPECT_EQ(router_.Probe("north")->age, absl::Seconds(3));
  EXPECT_EQ(router_.List()[0].probe->age, absl::Seconds(3));
}

TEST_F(RouterTest, NoAnswerAndARefusedQuestionSayNothing) {
  for (const auto outcome :
       {storage::ProbeOutcome::kNoAnswer, storage::ProbeOutcome::kLimited, storage::ProbeOutcome::kNotServed}) {
    Say("north", outcome);
    EXPECT_EQ(Draw(200).size(), 2u);
  }
  Say("nobody", storage::ProbeOutcome::kFailing);
}

TEST_F(RouterTest, OneThatSaysThatItIsSlowIsPassedOverBeforeAnybodyHasWaited) {
  router_.Use(Routes{{Named("north", 100, 10'000), Named("south", 100, 20'000), Named("west", 100, 30'000)}, {}});
  Say("north", storage::ProbeOutcome::kHealthy, absl::Milliseconds(300));
  EXPECT_THAT(Draw(10), ElementsAre(std::pair("north", 10))) << "of the others nothing is known";
  Say("south", storage::ProbeOutcome::kHealthy, absl::ZeroDuration());
  EXPECT_THAT(Draw(10), ElementsAre(std::pair("south", 10)));
  time_.Advance(absl::Seconds(16));
  EXPECT_THAT(Draw(10), ElementsAre(std::pair("north", 10))) << "that is no news any more";
  Say("north", storage::ProbeOutcome::kHealthy, absl::Milliseconds(300));
  Say("south", storage::ProbeOutcome::kHealthy, absl::ZeroDuration());
  router_.Answered("south", absl::Milliseconds(900));
  EXPECT_THAT(Draw(10), ElementsAre(std::pair("north", 10))) << "the other takes longer than it says";
  router_.Answered("west", absl::Milliseconds(20));
  EXPECT_THAT(Draw(10), ElementsAre(std::pair("west", 10)));
}

TEST_F(RouterTest, WhenAllAreOutAnOrderIsTriedAndNoneIsSentElsewhere) {
  TakeOut("north");
  TakeOut("south");
  EXPECT_NE(router_.Choose(Of()), std::nullopt);
  EXPECT_EQ(router_.ChooseOther(Of(), std::vector<std::string>{"north"}), std::nullopt);
}

TEST_F(RouterTest, ChoosesOthersThanWereTried) {
  EXPECT_THAT(router_.ChooseOther(Of(), std::vector<std::string>{"north"}), Optional(std::string("south")));
  EXPECT_EQ(router_.ChooseOther(Of(), std::vector<std::string>{"north", "south"}), std::nullopt);
}

}  // namespace
}  // namespace waybill::payments
