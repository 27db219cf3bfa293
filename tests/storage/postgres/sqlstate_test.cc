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
  const char* reason;  // "": INTERNAL without one
  bool new_session = false;
};

constexpr const char* kRefused = "STORE_REFUSED";
constexpr const char* kUnavailable = "STORE_UNAVAILABLE";
constexpr const char* kSchema = "SCHEMA_MISMATCH";

constexpr Row kRows[] = {
    // The data, or somebody's trigger.
    {"21000", kRefused},
    {"22001", kRefused},
    {"22021", kRefused},
    {"22P02", kRefused},
    {"23502", kRefused},
    {"23505", kRefused},
    {"23514", kRefused},
    {"23P01", kRefused},
    {"54000", kRefused},
    {"P0001", kRefused},
    // Another transaction.
    {"40001", kUnavailable},
    {"40P01", kUnavailable},
    {"55006", kUnavailable},
    {"55P03", kUnavailable},
    // The server: it is full, slow, or its disk fails.
    {"53000", kUnavailable},
    {"53100", kUnavailable},
    {"53200", kUnavailable},
    {"53300", kUnavailable},
    {"57014", kUnavailable},
    {"58030", kUnavailable},
    {"", kUnavailable},
    // This session, or this server.
    {"08003", kUnavailable, true},
    {"08006", kUnavailable, true},
    {"08P01", kUnavailable, true},
    {"25006", kUnavailable, true},
    {"25P02", kUnavailable, true},
    {"25P03", kUnavailable, true},
    {"26000", kUnavailable, true},
    {"42P05", kUnavailable, true},
    {"57P01", kUnavailable, true},
    {"57P02", kUnavailable, true},
    {"57P03", kUnavailable, true},
    {"57P04", kUnavailable, true},
    {"57P05", kUnavailable, true},
    // The schema, the role, and what nobody foresaw.
    {"3D000", kSchema},
    {"3F000", kSchema},
    {"42501", "RIGHTS_MISSING"},
    {"42601", kSchema},
    {"42703", kSchema},
    {"42804", kSchema},
    {"42P01", kSchema},
    {"0A000", ""},
    {"25001", ""},
    {"55000", ""},
    {"XX000", ""},
    {"XX001", ""},
    {"45000", kRefused},  // codes of somebody's trigger
    {"AB001", kRefused},
    {"ZZZZZ", kRefused},
};

TEST(Sqlstate, EachHasItsStatus) {
  for (const Row& row : kRows) {
    const absl::Status status = Status(row.sqlstate);
    const std::string reason = row.reason;
    EXPECT_EQ(GetErrorDetail(status).reason, reason) << row.sqlstate;
    EXPECT_EQ(status.code(), reason == kUnavailable ? absl::StatusCode::kUnavailable : absl::StatusCode::kInternal)
        << row.sqlstate;
    EXPECT_EQ(ToBatchResult(status), reason == kRefused ? BatchResult::kBadData : BatchResult::kTryAgain)
        << row.sqlstate;
    EXPECT_EQ(GetErrorDetail(status).retry_after > absl::ZeroDuration(), reason == kUnavailable) << row.sqlstate;
    EXPECT_EQ(Sqlstate(status), row.sqlstate);
    PostgresError error;
    error.sqlstate = row.sqlstate;
    EXPECT_EQ(NeedsNewSession(error), row.new_session) << row.sqlstate;
  }
  EXPECT_EQ(ToBatchResult(absl::OkStatus()), BatchResult::kWritten);
  EXPECT_EQ(Sqlstate(absl::OkStatus()), "");
}

TEST(Sqlstate, AStalePlanIsTheSessionsFaultAndOtherThingsThatAreNotSupportedAreNot) {
  PostgresError error;
  error.sqlstate = "0A000";
  error.routine = "RevalidateCachedQuery";
  EXPECT_TRUE(NeedsNewSession(error));
  EXPECT_EQ(GetErrorDetail(ToStatus(error)).reason, kUnavailable);
  error.routine = "CheckValidResultRel";
  EXPECT_FALSE(NeedsNewSession(error));
}

TEST(Sqlstate, SaysWhatIsBehindIt) {
  const std::pair<const char*, const char*> kWords[] = {
      {"25006", "takes no writes"}, {"26000", "pooler"}, {"42P05", "pooler"}, {"42501", "lacks a right"}};
  for (const auto& [sqlstate, words] : kWords) {
    const std::string message(Status(sqlstate).message());
    EXPECT_NE(message.find(words), std::string::npos) << message;
    EXPECT_EQ(message.find("waybill migrate`"), std::string::npos) << message;
  }
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

TEST(Sqlstate, OnlyADivisionByZeroIsOne) {
  EXPECT_TRUE(IsDivisionByZero(Status("22012")));
  EXPECT_FALSE(IsDivisionByZero(Status("22003")));
  EXPECT_FALSE(IsDivisionByZero(absl::OkStatus()));
}

}  // namespace
}  // namespace waybill::storage
