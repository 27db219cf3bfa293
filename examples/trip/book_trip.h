// A saga of one's own, on Waybill's saga library: book a flight, a hotel and a car, or none of them.
#pragma once

#include <string>
#include <string_view>

#include "saga/codec.h"
#include "saga/definition.h"

namespace waybill::example {

// The payload: what the saga is about, and what its participants answered.
struct Trip {
  static constexpr std::string_view kKind = "book_trip";

  std::string booking;  // deduplicates: one booking, one saga
  std::string traveller;
  std::string flight_ticket;  // "" until booked
  std::string hotel_room;
  std::string car_plate;

  // What the next journal write adds to the books.
  struct Effects {
    bool car_changed = false;
  };
  Effects effects;
};

// An outside system. Both calls are idempotent under their key, and Cancel closes the key: a Book that comes later, or
// comes late, is refused.
class ReservationSystem {
 public:
  virtual ~ReservationSystem() = default;
  virtual void Book(const std::string& key, const std::string& traveller, saga::OutcomeCallback done) = 0;
  virtual void Cancel(const std::string& key, saga::OutcomeCallback done) = 0;
};

saga::Codec<Trip> TripCodec();

// Flight and hotel at the same time, the car when both are booked. The rental desk keeps its cars in the journal's own
// database: renting is an entry in our books, committed together with the saga's outcome, and no call.
saga::Definition BookTrip(ReservationSystem& airline, ReservationSystem& hotel, saga::RetryPolicy retry = {});

}  // namespace waybill::example
