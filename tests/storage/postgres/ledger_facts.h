// What Postgres tells of the ledger's tables and of whoever writes to them.
#pragma once

#include <string>

#include "tests/support/postgres.h"

namespace waybill::testing {

// Along an account, transfers whose time is before that of one with a lower number: how many.
inline std::string TimesThatRunBack(Sql& sql) {
  return sql.Value(
      "SELECT count(*) FROM (SELECT created_at, lag(created_at) OVER (PARTITION BY account ORDER BY number) AS before "
      "FROM (SELECT number, created_at, debit_account AS account FROM ledger_transfers UNION ALL SELECT number, "
      "created_at, credit_account FROM ledger_transfers) t WHERE account IS NOT NULL) a WHERE created_at < before");
}

// Of the database, since it was made.
inline std::string Deadlocks(Sql& sql) {
  sql.Exec("SELECT pg_stat_force_next_flush()");
  return sql.Value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
}

}  // namespace waybill::testing
