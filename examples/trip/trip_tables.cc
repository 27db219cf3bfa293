#include "examples/trip/trip_tables.h"

#include <utility>

namespace waybill::example {

const std::string_view kTripSchema = "CREATE TABLE rentals (saga_id uuid PRIMARY KEY, car_plate text NOT NULL UNIQUE)";

storage::SharedSagaTables<Trip> TripTables() {
  storage::SagaBookings<Trip> rentals;
  rentals.effects = {{"rented", storage::kOidText, ""}, {"returned", storage::kOidBool, ""}};
  rentals.add_effects = [](const Trip& trip, std::span<storage::ArrayParam> columns) {
    if (trip.effects.car_changed && !trip.car_plate.empty()) {
      columns[0].AddText(trip.car_plate);
    } else {
      columns[0].AddNull();
    }
    columns[1].AddBool(trip.effects.car_changed && trip.car_plate.empty());
  };
  rentals.claim = "INSERT INTO rentals (saga_id, car_plate) SELECT i.saga_id, i.rented FROM ok i";
  rentals.claim_order = "ORDER BY i.rented";
  rentals.claim_lost = "ON CONFLICT DO NOTHING";
  rentals.claim_wanted = "i.rented IS NOT NULL";
  rentals.bookings = {"DELETE FROM rentals WHERE saga_id = ANY(ARRAY(SELECT saga_id FROM done WHERE returned))"};
  return storage::SharedSagaTables<Trip>(TripCodec(), std::move(rentals));
}

}  // namespace waybill::example
