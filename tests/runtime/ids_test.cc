#include "runtime/ids.h"

#include <set>
#include <string>

#include "gtest/gtest.h"
#include "rapidcheck/gtest.h"
#include "runtime/random.h"
#include "runtime/testing/manual_time.h"

namespace waybill {
namespace {

class FixedRandom final : public Random {
 public:
  explicit FixedRandom(uint64_t value) : value_(value) {}
  uint64_t Next() override { return value_; }

 private:
  const uint64_t value_;
};

TEST(IdGenerator, WritesTheExampleOfRfc9562) {
  // Appendix A.6: unix_ts_ms 0x017F22E279B0; rand_a there is random, here it is the fraction of the millisecond.
  testing::ManualTime time(absl::FromUnixMillis(0x017F22E279B0));
  FixedRandom random(0x18C4DC0C0C07398F);
  EXPECT_EQ(IdGenerator(time, random).Next().ToString(), "017f22e2-79b0-7000-98c4-dc0c0c07398f");
}

TEST(IdGenerator, SetsVersionAndVariantWhateverTheRandomBits) {
  testing::ManualTime time(absl::FromUnixMicros(1'700'000'000'000'999));
  for (uint64_t bits : {uint64_t{0}, ~uint64_t{0}, uint64_t{0x4000000000000000}}) {
    FixedRandom random(bits);
    Uuid id = IdGenerator(time, random).Next();
    EXPECT_EQ(id.bytes[6] >> 4, 7) << id.ToString();
    EXPECT_EQ(id.bytes[8] >> 6, 2) << id.ToString();
  }
}

TEST(IdGenerator, LaterIdsSortAfterEarlierOnesDownToTheMicrosecond) {
  testing::ManualTime time(absl::FromUnixMicros(1'700'000'000'000'000 - 1'500));
  SeededRandom random(1);
  IdGenerator ids(time, random);
  Uuid last = ids.Next();
  for (int i = 0; i < 3'000; ++i) {
    time.Advance(absl::Microseconds(1));
    Uuid next = ids.Next();
    ASSERT_LT(last, next) << i;
    ASSERT_LT(last.ToString(), next.ToString()) << i;
    last = next;
  }
}

TEST(IdGenerator, IdsOfOneInstantDiffer) {
  testing::ManualTime time;
  SeededRandom random(1);
  IdGenerator ids(time, random);
  std::set<Uuid> seen;
  for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(seen.insert(ids.Next()).second);
}

RC_GTEST_PROP(UuidProperty, ParseGivesBackWhatWasPrinted, (const std::array<uint8_t, 16>& bytes)) {
  Uuid id;
  id.bytes = bytes;
  std::string text = id.ToString();
  RC_ASSERT(text.size() == size_t{36});
  RC_ASSERT(Uuid::Parse(text).has_value());
  RC_ASSERT(*Uuid::Parse(text) == id);
}

RC_GTEST_PROP(UuidProperty, ParseNeverAcceptsWhatItWouldNotPrint, (const std::string& text)) {
  auto id = Uuid::Parse(text);
  if (id) RC_ASSERT(id->ToString() == text);
}

TEST(Uuid, ParseTakesEitherCase) {
  EXPECT_EQ(Uuid::Parse("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), Uuid::Parse("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"));
  EXPECT_EQ(Uuid::Parse("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")->bytes[15], 0x8f);
}

TEST(Uuid, ParseRefusesEverythingElse) {
  for (std::string_view text : {"", "017f22e2", "017f22e279b07cc398c4dc0c0c07398f",
                                "017f22e2-79b0-7cc3-98c4-dc0c0c07398", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0",
                                "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}", "017f22e2_79b0-7cc3-98c4-dc0c0c07398f",
                                "017f22e2-79b0-7cc3-98c4-dc0c0c07398g", "017f22e27-9b0-7cc3-98c4-dc0c0c07398f",
                                "017f22e2-79b0-7cc3-98c4-dc0c0c07398 ", "-17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
                                "017f22e2-79b0-7cc3-98c4-dc0c0c0739-f", "0x7f22e2-79b0-7cc3-98c4-dc0c0c07398f"}) {
    EXPECT_EQ(Uuid::Parse(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace waybill
