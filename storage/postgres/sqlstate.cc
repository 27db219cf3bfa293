#include "storage/postgres/sqlstate.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::storage {
namespace {

constexpr absl::Duration kRetryAfter = absl::Milliseconds(200);

constexpr std::string_view kReadOnly =
    "this server takes no writes: it is a standby, or was the primary; a new session is tried";
constexpr std::string_view kPooler =
    "somebody else uses this session: a pooler between Waybill and Postgres has to pool sessions, not transactions";
constexpr std::string_view kRights = "the service's role lacks a right; docs/operations.md lists what it needs";

struct Rule {
  std::string_view prefix;  // of the SQLSTATE
  std::string_view reason;  // "": INTERNAL
  bool new_session = false;
  std::string_view hint = {};
};

// The first that fits counts.
constexpr Rule kRules[] = {
    {"08", "STORE_UNAVAILABLE", true},                // connection
    {"21", "STORE_REFUSED"},                          // two rows of a batch hit one target
    {"22", "STORE_REFUSED"},                          // data exception
    {"23", "STORE_REFUSED"},                          // integrity constraint
    {"25006", "STORE_UNAVAILABLE", true, kReadOnly},  // read-only transaction
    {"25P0", "STORE_UNAVAILABLE", true},              // left in a failed transaction, or idle in one for too long
    {"26000", "STORE_UNAVAILABLE", true, kPooler},    // a prepared statement is gone
    {"3D", "SCHEMA_MISMATCH"},
    {"3F", "SCHEMA_MISMATCH"},
    {"40", "STORE_UNAVAILABLE"},                    // serialization, deadlock
    {"42501", "RIGHTS_MISSING", false, kRights},    // insufficient privilege
    {"42P05", "STORE_UNAVAILABLE", true, kPooler},  // a prepared statement is there already
    {"42", "SCHEMA_MISMATCH"},
    {"53", "STORE_UNAVAILABLE"},          // disk, memory, locks, connections
    {"54", "STORE_REFUSED"},              // a value too large to store
    {"55006", "STORE_UNAVAILABLE"},       // in use
    {"55P03", "STORE_UNAVAILABLE"},       // lock not available
    {"57014", "STORE_UNAVAILABLE"},       // timed out or cancelled
    {"57P0", "STORE_UNAVAILABLE", true},  // stopping, crashed, starting, dropped
    {"58", "STORE_UNAVAILABLE"},          // disk
    {"P0", "STORE_REFUSED"},              // RAISE EXCEPTION in somebody's trigger
};
// The classes of SQLSTATE that the server itself uses (its manual, appendix A), besides those above. Any other code is
// of somebody's trigger.
constexpr std::string_view kServerClasses[] = {"00", "01", "02", "03", "09", "0A", "0B", "0F", "0L", "0P",
                                               "0Z", "20", "24", "25", "27", "28", "2B", "2D", "2F", "34",
                                               "38", "39", "3B", "44", "55", "57", "72", "F0", "HV", "XX"};
constexpr Rule kForeign = {"", "STORE_REFUSED"};
constexpr Rule kNoAnswer = {"", "STORE_UNAVAILABLE"};
constexpr Rule kStalePlan = {"0A000", "STORE_UNAVAILABLE", true};
constexpr Rule kOther = {"", ""};

const Rule& RuleFor(const PostgresError& error) {
  if (error.sqlstate.empty()) return kNoAnswer;
  // "cached plan must not change result type": 0A000 means much else besides.
  if (error.sqlstate == "0A000" && error.routine == "RevalidateCachedQuery") return kStalePlan;
  const Rule* rule = std::find_if(std::begin(kRules), std::end(kRules),
                                  [&](const Rule& r) { return error.sqlstate.starts_with(r.prefix); });
  if (rule != std::end(kRules)) return *rule;
  const bool servers = std::find(std::begin(kServerClasses), std::end(kServerClasses), error.sqlstate.substr(0, 2)) !=
                       std::end(kServerClasses);
  return servers ? kOther : kForeign;
}

}  // namespace

absl::Status ToStatus(const PostgresError& error) {
  const Rule& rule = RuleFor(error);
  ErrorDetail detail;
  if (!error.sqlstate.empty()) detail.metadata.emplace_back("sqlstate", error.sqlstate);
  if (!error.table.empty()) detail.metadata.emplace_back("table", error.table);
  if (!error.constraint.empty()) detail.metadata.emplace_back("constraint", error.constraint);
  std::string message = fmt::format("postgres: {}", error.message);
  if (!error.sqlstate.empty()) message += fmt::format(" ({})", error.sqlstate);
  if (!rule.hint.empty()) message += fmt::format("; {}", rule.hint);
  if (rule.reason.empty()) return MakeError(absl::StatusCode::kInternal, message, detail);
  if (rule.reason == "STORE_UNAVAILABLE") detail.retry_after = kRetryAfter;
  return domain::ReasonError(rule.reason, message, std::move(detail));
}

bool NeedsNewSession(const PostgresError& error) { return RuleFor(error).new_session; }

std::string Sqlstate(const absl::Status& status) {
  for (const auto& [key, value] : GetErrorDetail(status).metadata) {
    if (key == "sqlstate") return value;
  }
  return "";
}

bool IsUniqueViolation(const absl::Status& status) { return Sqlstate(status) == "23505"; }
absl::Status TooBroadOr(const absl::Status& status, std::string_view what) {
  if (Sqlstate(status) != "57014") return status;
  return domain::ReasonError("LIST_TOO_BROAD",
                             fmt::format("the list looks through more {} than can be read in time", what));
}

bool IsDivisionByZero(const absl::Status& status) { return Sqlstate(status) == "22012"; }

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
