// A participant that answers what a test tells it to, and remembers what it was asked.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "saga/definition.h"

namespace waybill::saga::testing {

template <typename P>
class ScriptedParticipant {
 public:
  // What the next calls answer, in order; when the script is used up, every call succeeds.
  void WillAnswer(Outcome outcome) { script_.push_back(std::move(outcome)); }
  // Calls stay open until Answer().
  void Hold() { hold_ = true; }
  void Answer(Outcome outcome) {
    OutcomeCallback done = std::move(held_.front());
    held_.pop_front();
    done(std::move(outcome));
  }
  size_t held() const { return held_.size(); }
  void Unhold() { hold_ = false; }

  // What the call does to the payload before it answers success.
  std::function<void(P&)> on_success = [](P&) {};

  std::vector<std::string> keys;  // of every call
  std::vector<int> attempts;

  Action<P> action(bool journaled = false) {
    return {[this](const Attempt& attempt, P& payload, OutcomeCallback done) {
              keys.push_back(attempt.Key());
              attempts.push_back(attempt.number);
              if (hold_) {
                held_.push_back([this, &payload, done = std::move(done)](Outcome outcome) mutable {
                  if (outcome.kind == Outcome::Kind::kSucceeded) on_success(payload);
                  done(std::move(outcome));
                });
                return;
              }
              Outcome outcome = Outcome::Succeeded();
              if (!script_.empty()) {
                outcome = std::move(script_.front());
                script_.pop_front();
              }
              if (outcome.kind == Outcome::Kind::kSucceeded) on_success(payload);
              done(std::move(outcome));
            },
            journaled};
  }

 private:
  std::deque<Outcome> script_;
  std::deque<OutcomeCallback> held_;
  bool hold_ = false;
};

}  // namespace waybill::saga::testing
