// The trip's tables (schema.sql), for the same journal that orders use.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "examples/trip/book_trip.h"
#include "storage/postgres/saga_journal.h"

namespace waybill::example {

// Creates the tables; once per database.
extern const std::string_view kTripSchema;

class TripTables final : public storage::SagaTables<Trip> {
 public:
  TripTables();
  const Sql& sql() const override { return sql_; }
  void AddBegin(const Trip& trip, std::span<storage::ArrayParam> columns) const override;
  void AddEffects(const Trip& trip, std::span<storage::ArrayParam> columns) const override;
  std::vector<std::string> DedupeKey(const Trip& trip) const override { return {trip.booking}; }
  absl::StatusOr<saga::Record<Trip>> Decode(const storage::Rows& rows, int at) const override;

 private:
  Sql sql_;
};

}  // namespace waybill::example
