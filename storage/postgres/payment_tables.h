// Where payments without an order stand in Postgres: their sagas with all that need no tables of their own, their money
// in `payments` and `payment_attempts`, as that of orders, under the saga's id.
#pragma once

#include "domain/payment.h"
#include "storage/postgres/shared_saga_tables.h"

namespace waybill::storage {

SharedSagaTables<domain::Payment> PaymentTables();

}  // namespace waybill::storage
