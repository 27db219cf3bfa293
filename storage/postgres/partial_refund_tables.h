// Where partial refunds stand in Postgres: their sagas with all that need no tables of their own, and each as a row of
// `partial_refunds`, which is there from the commit that begins its saga.
#pragma once

#include <functional>

#include "domain/partial_refund.h"
#include "storage/postgres/shared_saga_tables.h"

namespace waybill::storage {

// `told`: whether some endpoint may want events; asked for each commit that tells one.
SharedSagaTables<domain::PartialRefund> PartialRefundTables(std::function<bool()> told = [] { return true; });

}  // namespace waybill::storage
