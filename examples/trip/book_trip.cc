#include "examples/trip/book_trip.h"

#include <utility>

namespace waybill::example {
namespace {

using saga::Attempt;
using saga::Outcome;
using saga::OutcomeCallback;

saga::Action<Trip> Book(ReservationSystem& system, std::string Trip::*receipt) {
  return {[&system, receipt](const Attempt& attempt, Trip& trip, OutcomeCallback done) {
    system.Book(attempt.Key(), trip.traveller, [&trip, receipt, done = std::move(done)](Outcome outcome) mutable {
      if (outcome.kind == Outcome::Kind::kSucceeded) trip.*receipt = outcome.detail;
      done(std::move(outcome));
    });
  }};
}

saga::Action<Trip> Cancel(ReservationSystem& system) {
  return {[&system](const Attempt& attempt, Trip&, OutcomeCallback done) {
    system.Cancel(attempt.Key(), std::move(done));
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

}  // namespace

saga::Definition BookTrip(ReservationSystem& airline, ReservationSystem& hotel, saga::RetryPolicy retry) {
  return saga::Define<Trip>()
      .Step("book_flight")
      .Does(Book(airline, &Trip::flight_ticket))
      .UndoneBy(Cancel(airline))
      .Retried(retry)
      .Step("rent_car")
      .Does({RentCar, true})
      .UndoneBy({ReturnCar, true})
      .Retried(retry)
      .Step("book_hotel")
      .Does(Book(hotel, &Trip::hotel_room))
      .UndoneBy(Cancel(hotel))
      .Retried(retry)
      .Done();
}

}  // namespace waybill::example
