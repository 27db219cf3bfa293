// What a service asks of the database before it serves, and while it does.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/pool.h"

namespace waybill::storage {

// For the start. FAILED_PRECONDITION: a pooler between us and Postgres gives a session to somebody else between two
// transactions, which prepared statements, session settings and advisory locks do not survive.
absl::Status CheckSessionsAreOurs(const std::string& url);

// Settings of the server that are off, without which a crash of it loses commits: fsync, full_page_writes. (A session's
// synchronous_commit is ConnectionOptions::commits.)
absl::StatusOr<std::vector<std::string>> SettingsThatLoseData(Connection& connection);

// For readiness: whether what writes could do so now, over a connection of a pool that serves. STORE_UNAVAILABLE: no
// connection, a server that takes no writes, or commits that wait for a synchronous standby. FAILED_PRECONDITION: the
// schema is not that of this binary.
absl::Status CheckServing(Pool& pool);

}  // namespace waybill::storage
