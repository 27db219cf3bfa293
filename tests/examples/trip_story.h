// The stories of the example, told with any journal.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "examples/trip/book_trip.h"
#include "runtime/scheduler.h"
#include "saga/runner.h"

namespace waybill::example {

// Keeps its contract, and fails as told.
class FakeReservations final : public ReservationSystem {
 public:
  void WillAnswer(saga::Outcome outcome) { script_.push_back(std::move(outcome)); }

  // Leaves it to `held` how the next one is answered.
  void WillAnswerWhenAsked(saga::OutcomeCallback* held) { held_ = held; }
  bool holds() const { return holds_; }

  void Book(const std::string& key, const std::string& traveller, saga::OutcomeCallback done) override {
    if (held_ != nullptr) {
      *std::exchange(held_, nullptr) = std::move(done);
      holds_ = true;
    } else if (!script_.empty()) {
      saga::Outcome outcome = std::move(script_.front());
      script_.pop_front();
      done(std::move(outcome));
    } else if (closed_.contains(key)) {
      done(saga::Outcome::Rejected("KEY_CLOSED"));
    } else {
      done(saga::Outcome::Succeeded(booked_.emplace(key, "R-" + std::to_string(booked_.size() + 1)).first->second));
    }
  }
  void Cancel(const std::string& key, saga::OutcomeCallback done) override {
    closed_.insert(key);
    booked_.erase(key);
    done(saga::Outcome::Succeeded());
  }

  size_t booked() const { return booked_.size(); }

 private:
  saga::OutcomeCallback* held_ = nullptr;
  std::atomic<bool> holds_{false};
  std::deque<saga::Outcome> script_;
  std::map<std::string, std::string> booked_;
  std::set<std::string> closed_;
};

inline std::unique_ptr<saga::Record> NewTrip(const Uuid& id, absl::Time now, std::string booking) {
  auto record = std::make_unique<saga::RecordOf<Trip>>();
  record->id = id;
  record->created_at = now;
  record->version = 2;
  record->payload.booking = std::move(booking);
  record->payload.traveller = "Ada";
  return record;
}

}  // namespace waybill::example
