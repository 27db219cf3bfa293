#include "examples/trip/trip_tables.h"

#include <utility>

#include "fmt/format.h"
#include "storage/postgres/saga_rows.h"

namespace waybill::example {

using storage::kOidText;

const std::string_view kTripSchema = R"sql(
CREATE TABLE trip_sagas (
    trip_id uuid PRIMARY KEY, booking text NOT NULL UNIQUE, traveller text NOT NULL,
    state saga_state NOT NULL DEFAULT 'running', step smallint NOT NULL DEFAULT 0, attempt integer NOT NULL DEFAULT 1,
    seq bigint NOT NULL DEFAULT 0, needs_attention boolean NOT NULL DEFAULT false, failure_reason text, failure_detail text,
    owner text, epoch bigint NOT NULL DEFAULT 1, lease_until timestamptz, write_id bigint, waits_for text, wakes_at timestamptz,
    traceparent text,
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
CREATE INDEX trip_sagas_unfinished ON trip_sagas (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX trip_sagas_waiting ON trip_sagas (wakes_at) WHERE lease_until IS NULL AND wakes_at IS NOT NULL;
CREATE TABLE trip_saga_steps (
    trip_id uuid NOT NULL, seq bigint NOT NULL, step text NOT NULL, attempt integer NOT NULL, outcome text NOT NULL,
    state saga_state NOT NULL, detail text, at timestamptz NOT NULL, PRIMARY KEY (trip_id, seq));
CREATE TABLE rentals (trip_id uuid PRIMARY KEY, car_plate text NOT NULL UNIQUE);
)sql";

TripTables::TripTables() {
  sql_.sagas = "trip_sagas";
  sql_.id = "trip_id";
  sql_.log = "trip_saga_steps";
  sql_.begin = {{"booking", kOidText, ""}, {"traveller", kOidText, ""}};
  sql_.dedupe = "booking";
  sql_.effects = {{"rented", kOidText, ""}, {"returned", storage::kOidBool, ""}};
  sql_.claim = "INSERT INTO rentals (trip_id, car_plate) SELECT i.trip_id, i.rented FROM ok i";
  sql_.claim_order = "ORDER BY i.rented";
  sql_.claim_lost = "ON CONFLICT DO NOTHING";
  sql_.claim_wanted = "i.rented IS NOT NULL";
  sql_.bookings = {"DELETE FROM rentals r USING done i WHERE r.trip_id = i.trip_id AND i.returned"};
  sql_.select = fmt::format(
      "SELECT s.trip_id, {}, s.booking, s.traveller, r.car_plate FROM trip_sagas s LEFT JOIN rentals r "
      "ON r.trip_id = s.trip_id",
      storage::kHeaderColumns);
}

void TripTables::AddBegin(const saga::Record& record, std::span<storage::ArrayParam> columns) const {
  const Trip& trip = saga::As<Trip>(record).payload;
  columns[0].AddText(trip.booking);
  columns[1].AddText(trip.traveller);
}

void TripTables::AddEffects(const saga::Record& record, std::span<storage::ArrayParam> columns) const {
  const Trip& trip = saga::As<Trip>(record).payload;
  if (trip.effects.car_changed && !trip.car_plate.empty()) {
    columns[0].AddText(trip.car_plate);
  } else {
    columns[0].AddNull();
  }
  columns[1].AddBool(trip.effects.car_changed && trip.car_plate.empty());
}

std::vector<std::string> TripTables::DedupeKey(const saga::Record& record) const {
  return {saga::As<Trip>(record).payload.booking};
}

absl::StatusOr<std::unique_ptr<saga::Record>> TripTables::Decode(const storage::Rows& rows, int at) const {
  storage::RowReader row(rows, at);
  saga::RecordOf<Trip> record;
  storage::DecodeHeader(row, record);
  constexpr int kPayload = 1 + storage::kHeaderColumnCount;
  record.payload.booking = row.Text(kPayload);
  record.payload.traveller = row.Text(kPayload + 1);
  if (!row.IsNull(kPayload + 2)) record.payload.car_plate = row.Text(kPayload + 2);
  if (!row.status().ok()) return row.status();
  return std::make_unique<saga::RecordOf<Trip>>(std::move(record));
}

}  // namespace waybill::example
