// What a runner tells the world; called on the saga's own path, so it must be quick and must not block.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "saga/outcome.h"
#include "saga/record.h"

namespace waybill::saga {

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void OnAttempt(std::string_view step, Direction direction, Outcome::Kind outcome, absl::Duration took) {}
  virtual void OnRetry(std::string_view step, Direction direction) {}
  virtual void OnTransition(const Header& header) {}  // after every journal write
  virtual void OnSettled(const Header& header, absl::Duration age) {}
  virtual void OnWaiting(const Header& header) {}  // it is durable, and this process drives it no longer
  virtual void OnNeedsAttention(const Header& header) {}
  virtual void OnRecovered(const Header& header) {}
  virtual void OnFenced(const Header& header) {}
  virtual void OnLostClaim(const Header& header) {}
  // The store refuses a write for good; `header` is what was to be written.
  virtual void OnRefused(const Header& header, const absl::Status& why) {}
};

}  // namespace waybill::saga
