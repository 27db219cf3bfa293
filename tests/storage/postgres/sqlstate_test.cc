#include "storage/postgres/sqlstate.h"

#include <string>

#include "gtest/gtest.h"
#include "runtime/status.h"

namespace waybill::storage {
namespace {

absl::Status Status(std::string_view sqlstate) {
  PostgresError error;
  error.sqlstate = sqlstate;
  error.message = "the message";
  error.table = "payments";
  error.constraint = "payments_one_an_order";
  return ToStatus(error);
}

struct Row {
  const char* sqlstate;
  absl::StatusCode code;
  const char* reason;
  BatchResult batch;
};

constexpr Row kRows[] = {
    {"21000", absl::StatusCode::kInternal, "STORE_REFUSED", BatchResult::kBadData},
    {"22001", absl::StatusCode::kInternal, "STORE_REFUSED", BatchResult::kBadData},
    {"22P02", absl::StatusCode::kInternal, "STORE_REFUSED", BatchResult::kBadData},
    {"23505", absl::StatusCode::kInternal, "STORE_REFUSED", BatchResult::kBadData},
    {"23514", absl::StatusCode::kInternal, "STORE_REFUSED", BatchResult::kBadData},
    {"54000", absl::StatusCode::kInternal, "STORE_REFUSED", BatchResult::kBadData},
    {"40001", absl::StatusCode::kUnavailable, "STORE_UNAVAILABLE", BatchResult::kTryAgain},
    {"40P01", absl::StatusCode::kUnavailable, "STORE_UNAVAILABLE", BatchResult::kTryAgain},
    {"55P03", absl::StatusCode::kUnavailable, "STORE_UNAVAILABLE", BatchResult::kTryAgain},
    {"08006", absl::StatusCode::kUnavailable, "STORE_UNAVAILABLE", BatchResult::kTryAgain},
    {"53300", absl::StatusCode::kUnavailable, "STORE_UNAVAILABLE", BatchResult::kTryAgain},
    {"57014", absl::StatusCode::kUnavailable, "STORE_UNAVAILABLE", BatchResult::kTryAgain},
    {"57P01", absl::StatusCode::kUnavailable, "STORE_UNAVAILABLE", BatchResult::kTryAgain},
    {"57P03", absl::StatusCode::kUnavailable, "STORE_UNAVAILABLE", BatchResult::kTryAgain},
    {"58030", absl::StatusCode::kUnavailable, "STORE_UNAVAILABLE", BatchResult::kTryAgain},
    {"", absl::StatusCode::kUnavailable, "STORE_UNAVAILABLE", BatchResult::kTryAgain},
    {"42P01", absl::StatusCode::kInternal, "SCHEMA_MISMATCH", BatchResult::kTryAgain},
    {"42601", absl::StatusCode::kInternal, "SCHEMA_MISMATCH", BatchResult::kTryAgain},
    {"3D000", absl::StatusCode::kInternal, "SCHEMA_MISMATCH", BatchResult::kTryAgain},
    {"XX000", absl::StatusCode::kInternal, "", BatchResult::kTryAgain},
};

TEST(Sqlstate, EachClassHasItsStatus) {
  for (const Row& row : kRows) {
    absl::Status status = Status(row.sqlstate);
    EXPECT_EQ(status.code(), row.code) << row.sqlstate;
    EXPECT_EQ(GetErrorDetail(status).reason, row.reason) << row.sqlstate;
    EXPECT_EQ(ToBatchResult(status), row.batch) << row.sqlstate;
    bool retry = GetErrorDetail(status).retry_after > absl::ZeroDuration();
    EXPECT_EQ(retry, row.code == absl::StatusCode::kUnavailable) << row.sqlstate;
  }
  EXPECT_EQ(ToBatchResult(absl::OkStatus()), BatchResult::kWritten);
}

TEST(Sqlstate, NamesWhatRefusedTheData) {
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"sqlstate", "23505"}, {"table", "payments"}, {"constraint", "payments_one_an_order"}};
  EXPECT_EQ(GetErrorDetail(Status("23505")).metadata, expected);
}

TEST(Sqlstate, OnlyAUniqueViolationIsOne) {
  EXPECT_TRUE(IsUniqueViolation(Status("23505")));
  EXPECT_FALSE(IsUniqueViolation(Status("23514")));
  EXPECT_FALSE(IsUniqueViolation(Status("")));
  EXPECT_FALSE(IsUniqueViolation(absl::OkStatus()));
}

}  // namespace
}  // namespace waybill::storage
