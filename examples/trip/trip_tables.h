// Where trips stand in Postgres: with all sagas that need no tables of their own, and their cars in `rentals`.
#pragma once

#include <string_view>

#include "examples/trip/book_trip.h"
#include "storage/postgres/shared_saga_tables.h"

namespace waybill::example {

// Creates the table of rentals, beside those of the product; once per database.
extern const std::string_view kTripSchema;

storage::SharedSagaTables<Trip> TripTables();

}  // namespace waybill::example
