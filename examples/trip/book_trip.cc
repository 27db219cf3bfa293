#include "examples/trip/book_trip.h"

#include <utility>

#include "nlohmann/json.hpp"
#include "runtime/text.h"

namespace waybill::example {
namespace {

using saga::Attempt;
using saga::Outcome;
using saga::OutcomeCallback;

saga::Action<Trip> Book(ReservationSystem& system, std::string Trip::*receipt) {
  return {[&system, receipt](const Attempt& attempt, Trip& trip, OutcomeCallback done) {
    system.Book(attempt.Key(), trip.traveller, [&trip, receipt, done = std::move(done)](Outcome outcome) mutable {
      if (outcome.kind == Outcome::Kind::kSucceeded) trip.*receipt = CleanText(outcome.detail, 64);
      done(std::move(outcome));
    });
  }};
}

saga::Action<Trip> Cancel(ReservationSystem& system, std::string Trip::*receipt) {
  return {[&system, receipt](const Attempt& attempt, Trip& trip, OutcomeCallback done) {
    system.Cancel(attempt.Key(), [&trip, receipt, done = std::move(done)](Outcome outcome) mutable {
      if (outcome.kind == Outcome::Kind::kSucceeded) (trip.*receipt).clear();
      done(std::move(outcome));
    });
  }};
}

void RentCar(const Attempt& attempt, Trip& trip, OutcomeCallback done) {
  // A lost claim means that somebody has just taken that car: take the next one.
  trip.car_plate = "CAR-" + std::to_string(attempt.conflicts + 1);
  trip.effects.car_changed = true;
  done(Outcome::Succeeded(trip.car_plate));
}

void ReturnCar(const Attempt&, Trip& trip, OutcomeCallback done) {
  trip.car_plate.clear();
  trip.effects.car_changed = true;
  done(Outcome::Succeeded());
}

struct Field {
  const char* name;
  std::string Trip::*text;
};
constexpr Field kFields[] = {{"booking", &Trip::booking},
                             {"traveller", &Trip::traveller},
                             {"flight_ticket", &Trip::flight_ticket},
                             {"hotel_room", &Trip::hotel_room},
                             {"car_plate", &Trip::car_plate}};

}  // namespace

saga::Codec<Trip> TripCodec() {
  saga::Codec<Trip> codec;
  codec.encode = [](const Trip& trip) {
    nlohmann::json json;
    for (const Field& field : kFields) json[field.name] = trip.*field.text;
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  };
  codec.decode = [](int, std::string_view text) -> absl::StatusOr<Trip> {
    const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    Trip trip;
    for (const Field& field : kFields) {
      const auto found = json.find(field.name);
      if (found == json.end() || !found->is_string()) {
        return absl::DataLossError(std::string(field.name) + " is no text");
      }
      trip.*field.text = found->get<std::string>();
    }
    return trip;
  };
  codec.key = [](const Trip& trip) { return trip.booking; };
  return codec;
}

saga::Definition BookTrip(ReservationSystem& airline, ReservationSystem& hotel, saga::RetryPolicy retry) {
  return saga::Define<Trip>()
      .Version(2)  // the first, which booked one after the other, is gone: no trip of it was left
      .Step("book_flight")
      .Does(Book(airline, &Trip::flight_ticket))
      .UndoneBy(Cancel(airline, &Trip::flight_ticket))
      .Retried(retry)
      .Beside("book_hotel")
      .Does(Book(hotel, &Trip::hotel_room))
      .UndoneBy(Cancel(hotel, &Trip::hotel_room))
      .Retried(retry)
      .Beside("rent_car")
      .Does({.call = RentCar, .journaled = true})
      .UndoneBy({.call = ReturnCar, .journaled = true})
      .Retried(retry)
      .Done();
}

}  // namespace waybill::example
