#include "services/sandbox/settlement.h"

#include <optional>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"

namespace waybill::sandbox {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const absl::CivilDay kDay(2026, 1, 31);

class SettlementTest : public ::testing::Test {
 protected:
  static absl::Time At(int hour, int minute = 0) {
    return absl::FromCivil(absl::CivilMinute(2026, 1, 31, hour, minute), absl::UTCTimeZone());
  }
  void Charge(const std::string& key, absl::Time at, int64_t amount = 1'234'50, const std::string& currency = "EUR") {
    std::optional<Record> effect;
    ASSERT_TRUE(books_.Charge({key, "o", amount, currency}, {}, at, effect).ok());
  }
  // The lines behind the header.
  std::vector<std::string> Lines(SettlementWish wish = {}) {
    wish.gateway = "north";
    wish.day = kDay;
    file_ = MakeSettlement(books_, wish);
    EXPECT_TRUE(file_.ok()) << file_.status();
    if (!file_.ok()) return {};
    return {file_->lines.begin() + 1, file_->lines.end()};
  }

  Books books_{0};
  absl::StatusOr<SettlementLines> file_ = SettlementLines();
  std::optional<Record> effect_;
};

TEST_F(SettlementTest, HasEachMovementOfTheDayOnce) {
  Charge("a", At(1));
  Charge("b", At(2), 1000, "JPY");
  Charge("declined", At(2));
  ASSERT_TRUE(books_.RefundPart({"a", "o", "r", 3450, "EUR"}, At(3), effect_).ok());
  ASSERT_TRUE(books_.Refund("a", "o", At(4), effect_).ok());
  ASSERT_TRUE(books_.Refund("never", "o", At(4), effect_).ok());
  ASSERT_TRUE(books_.ChargeBack("b", At(5), effect_).ok());
  Charge("tomorrow", At(24));
  SettlementWish wish;
  wish.fee_ppm = 20'000;
  EXPECT_THAT(Lines(wish),
              ElementsAre("charge,a,ch_1,1234.50,24.69,EUR,2026-01-31T01:00:00.000000Z,po_north_20260131\n",
                          "charge,b,ch_2,1000,20,JPY,2026-01-31T02:00:00.000000Z,po_north_20260131\n",
                          "charge,declined,ch_3,1234.50,24.69,EUR,2026-01-31T02:00:00.000000Z,po_north_20260131\n",
                          "refund,a,rp_4,34.50,0.00,EUR,2026-01-31T03:00:00.000000Z,po_north_20260131\n",
                          "refund,a,re_5,1200.00,0.00,EUR,2026-01-31T04:00:00.000000Z,po_north_20260131\n",
                          "chargeback,b,cb_6,1000,0,JPY,2026-01-31T05:00:00.000000Z,po_north_20260131\n"));
  EXPECT_EQ(file_->lines.front(), "kind,reference,gateway_reference,amount,fee,currency,booked_at,payout\n");
}

TEST_F(SettlementTest, IsAsDirtyAsItIsAskedToBe) {
  Charge("yesterdays", At(0, 0) - absl::Minutes(20));
  Charge("a", At(12));
  Charge("late", At(23, 50));
  ASSERT_TRUE(books_.RefundPart({"a", "o", "r", 50, "EUR"}, At(13), effect_).ok());
  SettlementWish wish;
  wish.late = absl::Minutes(30);
  wish.negative_refunds = true;
  wish.decimal_comma = true;
  wish.payout_sums = true;
  wish.payout_fee_minor = 25;
  const std::vector<std::string> lines = Lines(wish);
  ASSERT_THAT(lines, SizeIs(5));
  EXPECT_THAT(lines[0], HasSubstr("charge;yesterdays;ch_1;1234,50;0,00;EUR;2026-01-30T23:40:00"));
  EXPECT_THAT(lines[1], HasSubstr("charge;a;"));
  EXPECT_THAT(lines[2], HasSubstr("refund;a;rp_4;-0,50;"));
  EXPECT_THAT(lines[3], HasSubstr("fee;;po_north_20260131_fee_EUR;0,25;"));
  EXPECT_THAT(lines[4], HasSubstr("payout;;po_north_20260131_EUR;2468,25;"));
}

TEST_F(SettlementTest, OfAnotherZoneHasItsMidnightsAndTimesWithoutAZone) {
  Charge("before", At(0) - absl::Minutes(90));  // 23:30 the day before, there as well
  Charge("first", At(0) - absl::Minutes(30));   // 00:30
  Charge("after", At(23, 30));
  SettlementWish wish;
  ASSERT_TRUE(absl::LoadTimeZone("Europe/Berlin", &wish.zone));
  EXPECT_THAT(Lines(wish), ElementsAre(HasSubstr("charge,first,ch_2,1234.50,0.00,EUR,2026-01-31 00:30:00.000000,")));
}

TEST_F(SettlementTest, PlantsEachDifferenceInAChargeOfItsOwn) {
  for (int i = 0; i < 7; ++i) Charge(fmt::format("k{}", i), At(i), 10'000);
  SettlementWish wish;
  wish.fee_ppm = 10'000;
  wish.plant = {PlantedDifference::kMissingHere, PlantedDifference::kMissingThere, PlantedDifference::kTwice,
                PlantedDifference::kAmount,      PlantedDifference::kCurrency,     PlantedDifference::kFee};
  const std::vector<std::string> lines = Lines(wish);
  EXPECT_THAT(lines, ElementsAre(HasSubstr("k0,ch_1,100.00,1.00,EUR"), HasSubstr("k2,ch_3,100.00,1.00,EUR"),
                                 HasSubstr("k3,ch_4,101.00,1.01,EUR"), HasSubstr("k4,ch_5,100.00,1.00,USD"),
                                 HasSubstr("k5,ch_6,100.00,1.07,EUR"), HasSubstr("k6,ch_7,100.00,1.00,EUR"),
                                 HasSubstr("charge,,ch_stray_1,100.00"), HasSubstr("k2,ch_3_2,100.00,1.00,EUR")));
  std::vector<std::string> references;
  for (const auto& planted : file_->planted) references.push_back(planted.reference);
  EXPECT_THAT(references, ElementsAre("ch_stray_1", "k1", "k2", "k3", "k4", "k5"));
  wish.plant.insert(wish.plant.end(), 2, PlantedDifference::kFee);
  wish.day = kDay;
  EXPECT_EQ(GetErrorDetail(MakeSettlement(books_, wish).status()).reason, "TOO_FEW_CHARGES");
}

TEST_F(SettlementTest, OfADayWithoutMovementsIsItsHeader) { EXPECT_THAT(Lines(), IsEmpty()); }

TEST(SettlementDay, IsADate) {
  EXPECT_EQ(ParseSettlementDay("2026-01-31").value_or(absl::CivilDay()), kDay);
  for (const char* bad : {"", "2026-13-01", "yesterday", "2026-01-31T00:00:00Z"}) {
    EXPECT_FALSE(ParseSettlementDay(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace waybill::sandbox
