#include "runtime/status.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "rapidcheck/gtest.h"

namespace waybill {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

TEST(ErrorDetail, TravelsWithTheStatus) {
  ErrorDetail detail;
  detail.reason = "IDEMPOTENCY_KEY_REUSED";
  detail.metadata = {{"order_id", "0190"}, {"fields", "amount:currency"}};
  detail.violations = {{"amount_minor", "must be positive"}};
  detail.retry_after = absl::Milliseconds(1500);
  absl::Status status = MakeError(absl::StatusCode::kFailedPrecondition, "key reused", detail);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(std::string(status.message()), "key reused");
  ErrorDetail back = GetErrorDetail(absl::Status(status));
  EXPECT_EQ(back.reason, detail.reason);
  EXPECT_EQ(back.metadata, detail.metadata);
  EXPECT_EQ(back.violations, detail.violations);
  EXPECT_EQ(back.retry_after, detail.retry_after);
}

TEST(ErrorDetail, IsEmptyForOtherStatuses) {
  for (const absl::Status& status : {absl::OkStatus(), absl::UnavailableError("down")}) {
    ErrorDetail detail = GetErrorDetail(status);
    EXPECT_EQ(detail.reason, "");
    EXPECT_TRUE(detail.metadata.empty());
    EXPECT_TRUE(detail.violations.empty());
    EXPECT_EQ(detail.retry_after, absl::ZeroDuration());
  }
}

RC_GTEST_PROP(ErrorDetailProperty, AnyBytesComeBack,
              (const std::string& reason, const Pairs& metadata, const Pairs& violations, int64_t nanos)) {
  ErrorDetail detail;
  detail.reason = reason;
  detail.metadata = metadata;
  detail.violations = violations;
  detail.retry_after = absl::Nanoseconds(nanos);
  ErrorDetail back = GetErrorDetail(MakeError(absl::StatusCode::kInternal, "x", detail));
  RC_ASSERT(back.reason == reason);
  RC_ASSERT(back.metadata == metadata);
  RC_ASSERT(back.violations == violations);
  RC_ASSERT(back.retry_after == absl::Nanoseconds(nanos));
}

}  // namespace
}  // namespace waybill
