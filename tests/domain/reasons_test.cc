#include "domain/reasons.h"

#include <set>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"

namespace waybill::domain {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(Reasons, StandInTheTableOnce) {
  std::set<std::string_view> names;
  for (const Reason& reason : kReasons) {
    EXPECT_TRUE(names.insert(reason.name).second) << reason.name;
    EXPECT_NE(reason.code, absl::StatusCode::kOk) << reason.name;
    EXPECT_FALSE(reason.meaning.empty() || reason.what_to_do.empty()) << reason.name;
  }
}

TEST(FindReason, IsAConstantWhereItCanBe) {
  constexpr const Reason& found = FindReason("QUEUE_FULL");
  EXPECT_EQ(found.name, "QUEUE_FULL");
}

TEST(FindReasonDeathTest, IsNotAskedForWhatIsNotThere) { EXPECT_DEATH(FindReason("QUEUE_FUL"), ""); }

TEST(ReasonError, HasTheCodeOfTheTable) {
  ErrorDetail detail;
  detail.metadata = {{"order_id", "7"}};
  absl::Status status = ReasonError("SAGA_TAKEN_OVER", "elsewhere", std::move(detail));
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(status.message(), "elsewhere");
  EXPECT_EQ(GetErrorDetail(status).reason, "SAGA_TAKEN_OVER");
  EXPECT_THAT(GetErrorDetail(status).metadata, ElementsAre(Pair("order_id", "7")));
}

TEST(QueueFull, SaysWhenToComeBack) {
  absl::Status status = QueueFull("full", absl::Milliseconds(250));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorDetail(status).reason, "QUEUE_FULL");
  EXPECT_EQ(GetErrorDetail(status).retry_after, absl::Milliseconds(250));
}

TEST(Violations, AreOneStatus) {
  EXPECT_TRUE(Violations().ToStatus().ok());
  Violations violations;
  violations.Add("user_id", "is empty");
  violations.Add("amount", "is missing");
  EXPECT_FALSE(violations.empty());
  absl::Status status = std::move(violations).ToStatus();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "user_id: is empty (and 1 more)");
  EXPECT_EQ(GetErrorDetail(status).reason, "BAD_REQUEST");
  EXPECT_THAT(GetErrorDetail(status).violations,
              ElementsAre(Pair("user_id", "is empty"), Pair("amount", "is missing")));
}

TEST(BadField, IsAViolationOfItsOwn) {
  absl::Status status = BadField("radius_m", "is negative");
  EXPECT_EQ(status.message(), "radius_m: is negative");
  EXPECT_THAT(GetErrorDetail(status).violations, ElementsAre(Pair("radius_m", "is negative")));
}

}  // namespace
}  // namespace waybill::domain
