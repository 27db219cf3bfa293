#include "examples/trip/trip_tables.h"

#include <utility>

namespace waybill::example {

const std::string_view kTripSchema = "CREATE TABLE rentals (saga_id uuid PRIMARY KEY, car_plate text NOT NULL UNIQUE)";

storage::SharedSagaTables<Trip> TripTables() {
  storage::SagaBookings<Trip> rentals;
  rentals.claim.columns = {{"car_plate", storage::kOidText, ""}};
  rentals.claim.text =
      "INSERT INTO rentals (saga_id, car_plate) SELECT i.saga_id, i.car_plate FROM {rows} WHERE {allowed} "
      "ORDER BY i.car_plate {lost}";
  rentals.claim.lost = "ON CONFLICT DO NOTHING";
  rentals.bookings = {
      {{}, "DELETE FROM rentals r USING {rows} WHERE r.saga_id = i.saga_id AND r.saga_id = ANY({ids}) AND {allowed}"}};
  rentals.add = [](const saga::RecordOf<Trip>& record, storage::BookedRows& rows) {
    const Trip& trip = record.payload;
    if (!trip.effects.car_changed) return;
    if (trip.car_plate.empty()) {
      rows.Book(0);
    } else {
      rows.Claim()[0].AddText(trip.car_plate);
    }
  };
  return storage::SharedSagaTables<Trip>(TripCodec(), std::move(rentals));
}

}  // namespace waybill::example
