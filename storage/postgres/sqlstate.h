// The one place where an error of Postgres becomes a status.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "runtime/batcher.h"

namespace waybill::storage {

// What the server says about a failed statement. Views live as long as the call.
struct PostgresError {
  std::string_view sqlstate;  // five characters; empty: the connection itself failed
  std::string_view message;
  std::string_view table;
  std::string_view constraint;
  std::string_view routine;  // the server's function that raised it
};

//   class 21, 22, 23, 54, P0   STORE_REFUSED: the data is to blame, or a trigger says no; metadata sqlstate, table,
//                              constraint
//   class 40, 55006, 55P03     STORE_UNAVAILABLE with a retry: another transaction was in the way
//   08*, 53*, 57*, 58*, none   STORE_UNAVAILABLE with a retry: the server is down, full, stopping or timed out
//   25006, 25P0*, 26000,       STORE_UNAVAILABLE with a retry: this session is of no use (see NeedsNewSession)
//   42P05, a stale plan
//   42501                      RIGHTS_MISSING: the role may not do that
//   class 42, 3D, 3F           SCHEMA_MISMATCH: the database is not migrated to this version, or a bug
//   a class of no server       STORE_REFUSED as well: a trigger raised it with a code of its own
//   anything else              INTERNAL without a reason; metadata sqlstate
// The outcome of a statement that got STORE_UNAVAILABLE is unknown, unless another transaction or the session was to
// blame.
absl::Status ToStatus(const PostgresError& error);

// Whether repeating the statement in the same session is in vain, while a new one may fare better: the server is
// read-only (a standby, or a primary that no longer is one), it stops, or the session has lost what was prepared in it.
bool NeedsNewSession(const PostgresError& error);

// The metadata sqlstate of what ToStatus made; "" when it has none.
std::string Sqlstate(const absl::Status& status);

// Whether it comes from 23505: some row of the statement met a unique constraint.
bool IsUniqueViolation(const absl::Status& status);
// A list that ran into the statement's timeout is LIST_TOO_BROAD, of so many `what`; any other status is as it is.
absl::Status TooBroadOr(const absl::Status& status, std::string_view what);
// Whether it comes from 22012.
bool IsDivisionByZero(const absl::Status& status);

// STORE_UNAVAILABLE: the connection failed or the server did not answer in time.
absl::Status ConnectionError(std::string_view message);

// For a BatchWriter. STORE_REFUSED is kBadData; all other errors are kTryAgain: a person or the server can mend them,
// and no item of the batch is at fault, so none may be failed for it. SCHEMA_MISMATCH and RIGHTS_MISSING are among
// these (dropping acked locations because a table is missing would be worse than waiting for the migration); the writer
// logs the status of every attempt.
BatchResult ToBatchResult(const absl::Status& status);

}  // namespace waybill::storage
