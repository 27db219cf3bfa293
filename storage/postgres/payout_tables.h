// Where payouts stand in Postgres: their sagas with all that need no tables of their own, and each as a row of
// `payouts`, which is there from the commit that begins its saga. What that row means in the ledger, its triggers do.
#pragma once

#include "domain/payout.h"
#include "storage/postgres/shared_saga_tables.h"

namespace waybill::storage {

SharedSagaTables<domain::Payout> PayoutTables();

}  // namespace waybill::storage
