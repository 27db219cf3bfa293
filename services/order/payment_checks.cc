#include "services/order/payment_checks.h"

namespace waybill::order {

PaymentChecks::Taken PaymentChecks::Take(const Uuid& id, SteadyTime now) {
  std::lock_guard lock(mutex_);
  if (const auto found = checks_.find(id); found != checks_.end()) {
    Check& check = found->second;
    if (check.again) return {Turn::kShared};
    const SteadyTime next = check.asked + every_;
    if (now < next) {
      check.again = true;
      return {Turn::kLater, next};
    }
    check.asked = now;
    return {};
  }
  if (checks_.size() >= most_) {
    absl::erase_if(checks_, [&](const auto& one) { return !one.second.again && now - one.second.asked >= every_; });
  }
  if (checks_.size() < most_) checks_[id] = {now};
  return {};
}

void PaymentChecks::Asks(const Uuid& id, SteadyTime now) {
  std::lock_guard lock(mutex_);
  if (const auto found = checks_.find(id); found != checks_.end()) found->second = {now};
}

}  // namespace waybill::order
