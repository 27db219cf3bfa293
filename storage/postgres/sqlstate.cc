#include "storage/postgres/sqlstate.h"

#include <string>
#include <utility>

#include "fmt/format.h"
#include "storage/reasons.h"

namespace waybill::storage {
namespace {

constexpr absl::Duration kRetryAfter = absl::Milliseconds(200);

bool IsBadData(std::string_view sqlstate) {
  // 22 data exception, 23 integrity constraint, 21 two rows of a batch hit one target, 54 a value too large to store.
  std::string_view category = sqlstate.substr(0, 2);
  return category == "22" || category == "23" || category == "21" || category == "54";
}

bool IsUnavailable(std::string_view sqlstate) {
  if (sqlstate.empty()) return true;
  if (sqlstate == "40001" || sqlstate == "40P01" || sqlstate == "55P03") return true;
  std::string_view category = sqlstate.substr(0, 2);
  // 08 connection, 53 resources, 57 operator intervention (57014: timed out; 57P0*: stopping or starting), 58 disk.
  return category == "08" || category == "53" || category == "57" || category == "58";
}

bool IsSchemaMismatch(std::string_view sqlstate) {
  std::string_view category = sqlstate.substr(0, 2);
  return category == "42" || category == "3D" || category == "3F";
}

}  // namespace

absl::Status ToStatus(const PostgresError& error) {
  ErrorDetail detail;
  if (!error.sqlstate.empty()) detail.metadata.emplace_back("sqlstate", error.sqlstate);
  if (!error.table.empty()) detail.metadata.emplace_back("table", error.table);
  if (!error.constraint.empty()) detail.metadata.emplace_back("constraint", error.constraint);
  std::string message = fmt::format("postgres: {}", error.message);
  if (!error.sqlstate.empty()) message += fmt::format(" ({})", error.sqlstate);
  if (IsBadData(error.sqlstate)) return ReasonError("STORE_REFUSED", message, std::move(detail));
  if (IsUnavailable(error.sqlstate)) {
    detail.retry_after = kRetryAfter;
    return ReasonError("STORE_UNAVAILABLE", message, std::move(detail));
  }
  if (IsSchemaMismatch(error.sqlstate)) return ReasonError("SCHEMA_MISMATCH", message, std::move(detail));
  return MakeError(absl::StatusCode::kInternal, message, detail);
}

bool IsUniqueViolation(const absl::Status& status) {
  for (const auto& [key, value] : GetErrorDetail(status).metadata) {
    if (key == "sqlstate") return value == "23505";
  }
  return false;
}

absl::Status ConnectionError(std::string_view message) {
  PostgresError error;
  error.message = message;
  return ToStatus(error);
}

BatchResult ToBatchResult(const absl::Status& status) {
  if (status.ok()) return BatchResult::kWritten;
  return GetErrorDetail(status).reason == "STORE_REFUSED" ? BatchResult::kBadData : BatchResult::kTryAgain;
}

}  // namespace waybill::storage
