// What the services' database role may do. The tables' owner migrates; a service needs no more than what stands here.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/postgres/connection.h"

namespace waybill::storage {

struct Rights {
  std::string_view on;  // a table; or a function with the types of its arguments
  // "SELECT, INSERT", in the order of docs/operations.md; "UPDATE (a,b)" of these columns alone, without a space
  // between them.
  std::string_view may;
};

// Of waybill-order; of waybill-ingest; of waybill-ledger; of waybill-realtime, which reads what
// waybill-order does.
std::span<const Rights> OrderRights();
std::span<const Rights> IngestRights();
std::span<const Rights> LedgerRights();
std::span<const Rights> RealtimeRights();

// FAILED_PRECONDITION when the session's role lacks some: names each, and how to grant it.
absl::Status CheckRights(Connection& connection, std::span<const Rights> rights);

// Grants those of all services, and the use of the schema, to `role`, in one transaction. The session's role has to
// own the tables. Answers the statements that did it.
absl::StatusOr<std::vector<std::string>> GrantRights(Connection& connection, const std::string& role);

}  // namespace waybill::storage
