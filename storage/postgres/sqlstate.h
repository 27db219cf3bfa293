// The one place where an error of Postgres becomes a status.
#pragma once

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
};

//   class 21, 22, 23, 54       STORE_REFUSED; metadata sqlstate, table, constraint: the data is to blame
//   40001, 40P01, 55P03        STORE_UNAVAILABLE with a retry: another transaction was in the way
//   08*, 53*, 57*, 58*, none   STORE_UNAVAILABLE with a retry: the server is down, full, stopping or timed out
//   class 42, 3D, 3F           SCHEMA_MISMATCH: the database is not migrated to this version, or a bug
//   anything else              INTERNAL without a reason; metadata sqlstate
// The outcome of a statement that got STORE_UNAVAILABLE is unknown, unless it failed by 40001, 40P01 or 55P03.
absl::Status ToStatus(const PostgresError& error);

// Whether it comes from 23505: some row of the statement met a unique constraint.
bool IsUniqueViolation(const absl::Status& status);

// STORE_UNAVAILABLE: the connection failed or the server did not answer in time.
absl::Status ConnectionError(std::string_view message);

// For a BatchWriter. STORE_REFUSED is kBadData; all other errors are kTryAgain: a person or the server can mend them,
// and no item of the batch is at fault, so none may be failed for it. SCHEMA_MISMATCH is among these (dropping acked
// locations because a table is missing would be worse than waiting for the migration); the writer logs the status of
// every attempt.
BatchResult ToBatchResult(const absl::Status& status);

}  // namespace waybill::storage
