#include "services/sandbox/behaviour.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"

namespace waybill::sandbox {
namespace {

using ::testing::ElementsAre;
using ::testing::FieldsAre;
using ::testing::HasSubstr;

constexpr int kDraws = 20'000;

std::map<Fate::Kind, double> Shares(const Behaviour& behaviour, std::string_view method) {
  SeededRandom random(7);
  std::map<Fate::Kind, double> shares;
  for (int i = 0; i < kDraws; ++i) shares[Draw(behaviour, method, random).kind] += 1.0 / kDraws;
  return shares;
}

TEST(SandboxBehaviour, AWellBehavedSandboxAnswersAtOnce) {
  SeededRandom random(1);
  Fate fate = Draw(Behaviour(), "Charge", random);
  EXPECT_EQ(fate.kind, Fate::Kind::kOrdinary);
  EXPECT_EQ(fate.delay, absl::ZeroDuration());
  EXPECT_EQ(random.Next(), SeededRandom(1).Next());  // no draw was spent
}

TEST(SandboxBehaviour, TheFirstShareThatHitsDecides) {
  Behaviour behaviour;
  behaviour.unavailable_rate = 0.5;
  behaviour.lost_before_rate = 0.5;
  behaviour.lost_after_rate = 0.5;
  behaviour.late_rate = 0.5;
  behaviour.decline_rate = 0.5;
  auto shares = Shares(behaviour, "Charge");
  EXPECT_NEAR(shares[Fate::Kind::kUnavailable], 0.5, 0.02);
  EXPECT_NEAR(shares[Fate::Kind::kLostBefore], 0.25, 0.02);
  EXPECT_NEAR(shares[Fate::Kind::kLostAfter], 0.125, 0.02);
  EXPECT_NEAR(shares[Fate::Kind::kLate], 0.0625, 0.02);
  EXPECT_NEAR(shares[Fate::Kind::kDecline], 0.03125, 0.01);
  EXPECT_NEAR(shares[Fate::Kind::kOrdinary], 0.03125, 0.01);
}

TEST(SandboxBehaviour, SharesApplyToTheNamedMethodsOnly) {
  Behaviour behaviour;
  behaviour.unavailable_rate = 1;
  behaviour.methods = {"Refund"};
  EXPECT_EQ(Shares(behaviour, "Charge")[Fate::Kind::kOrdinary], Shares(behaviour, "Refund")[Fate::Kind::kUnavailable]);
}

TEST(SandboxBehaviour, OnlyChargesArePending) {
  Behaviour behaviour;
  behaviour.decline_rate = 0.5;
  behaviour.pending_rate = 0.5;
  auto shares = Shares(behaviour, "Charge");
  EXPECT_NEAR(shares[Fate::Kind::kDecline], 0.5, 0.02);
  EXPECT_NEAR(shares[Fate::Kind::kPending], 0.25, 0.02);
  EXPECT_EQ(Shares(behaviour, "Refund").count(Fate::Kind::kPending), 0u);
  EXPECT_EQ(Shares(behaviour, "AssignDriver").count(Fate::Kind::kPending), 0u);
}

TEST(SandboxBehaviour, LatencyHasTheMedianAndTailThatWereAskedFor) {
  Behaviour behaviour;
  behaviour.latency_ms_p50 = 20;
  behaviour.latency_ms_p99 = 300;
  SeededRandom random(3);
  std::vector<double> millis;
  for (int i = 0; i < kDraws; ++i)
    millis.push_back(absl::ToDoubleMilliseconds(Draw(behaviour, "Charge", random).delay));
  std::sort(millis.begin(), millis.end());
  EXPECT_NEAR(millis[kDraws / 2], 20, 1);
  EXPECT_NEAR(millis[kDraws * 99 / 100], 300, 45);
  EXPECT_GT(millis.front(), 0);
}

TEST(SandboxBehaviour, LateAnswersTakeLateMs) {
  Behaviour behaviour;
  behaviour.late_rate = 1;
  behaviour.late_ms = 700;
  behaviour.latency_ms_p50 = behaviour.latency_ms_p99 = 5;
  SeededRandom random(1);
  EXPECT_EQ(Draw(behaviour, "Charge", random).delay, absl::Milliseconds(700));
  behaviour.late_rate = 0;  // p50 = p99: always that
  EXPECT_EQ(Draw(behaviour, "Charge", random).delay, absl::Milliseconds(5));
}

TEST(SandboxBehaviour, NonsenseIsRefusedByName) {
  const std::vector<std::string> methods = {"Charge", "Refund"};
  EXPECT_TRUE(Check(Behaviour(), methods).ok());
  auto violations = [&](auto change) {
    Behaviour behaviour;
    change(behaviour);
    absl::Status status = Check(behaviour, methods);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return GetErrorDetail(status).violations;
  };
  EXPECT_THAT(violations([](Behaviour& b) { b.late_rate = 1.1; }),
              ElementsAre(FieldsAre("late_rate", HasSubstr("0..1"))));
  EXPECT_THAT(violations([](Behaviour& b) { b.decline_rate = std::nan(""); }),
              ElementsAre(FieldsAre("decline_rate", HasSubstr("0..1"))));
  EXPECT_THAT(violations([](Behaviour& b) { b.unavailable_rate = -0.1; }),
              ElementsAre(FieldsAre("unavailable_rate", HasSubstr("0..1"))));
  EXPECT_THAT(violations([](Behaviour& b) { b.late_ms = -1; }), ElementsAre(FieldsAre("late_ms", HasSubstr("within"))));
  EXPECT_THAT(violations([](Behaviour& b) { b.late_ms = std::numeric_limits<int64_t>::max(); }),
              ElementsAre(FieldsAre("late_ms", HasSubstr("within"))));
  EXPECT_THAT(violations([](Behaviour& b) { b.pending_rate = 2; }),
              ElementsAre(FieldsAre("pending_rate", HasSubstr("0..1"))));
  EXPECT_THAT(violations([](Behaviour& b) { b.pending_for_ms = -1; }),
              ElementsAre(FieldsAre("pending_for_ms", HasSubstr("within"))));
  EXPECT_THAT(violations([](Behaviour& b) { b.latency_ms_p50 = 5; }),
              ElementsAre(FieldsAre("latency_ms_p99", HasSubstr("below"))));
  EXPECT_THAT(violations([](Behaviour& b) { b.latency_ms_p99 = 5; }),
              ElementsAre(FieldsAre("latency_ms_p50", HasSubstr("is 0"))));
  EXPECT_THAT(violations([](Behaviour& b) {
                b.methods = {"Charge", "Pay"};
              }),
              ElementsAre(FieldsAre("methods", HasSubstr("'Pay'"))));
}

}  // namespace
}  // namespace waybill::sandbox
