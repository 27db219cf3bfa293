// A dispatcher in memory, outside of this process as far as the saga is concerned: it keeps its contract and its books.
#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "services/order/dispatch.h"
#include "services/order/testing/fake_payment_gateway.h"

namespace waybill::order::testing {

class FakeDispatch final : public Dispatch {
 public:
  // Assigns the first of `drivers` that is free.
  explicit FakeDispatch(std::vector<std::string> drivers) : drivers_(std::move(drivers)) {}

  // The fates of the next calls, in order; then every call is answered. kDeclined: no driver.
  void WillMeet(std::deque<Fate> fates);
  void Land();  // executes the assignments that are slow
  // Runs every answer through `defer`, which calls the task later; null: at once. Set before use.
  void set_defer(std::function<void(FakePaymentGateway::Task)> defer) { defer_ = std::move(defer); }

  bool journaled() const override { return false; }
  void Assign(const ParticipantCall& call, const Uuid& order_id, const domain::Order& order, int conflicts,
              absl::AnyInvocable<void(absl::StatusOr<AssignResult>)> done) override;
  void Release(const ParticipantCall& call, const Uuid& order_id, const domain::Order& order,
               absl::AnyInvocable<void(absl::Status)> done) override;

  std::map<std::string, std::string> assigned() const;  // driver by key, of those that are not released

 private:
  Fate Next();
  AssignResult AssignNow(const std::string& key, bool none);
  void Answer(FakePaymentGateway::Task task);

  const std::vector<std::string> drivers_;
  mutable std::mutex mutex_;
  std::deque<Fate> fates_;
  std::map<std::string, std::string> assigned_;
  std::map<std::string, AssignResult> answers_;  // the first one, by key
  std::set<std::string> closed_;
  std::set<std::string> slow_;  // keys of assignments that have not landed
  std::function<void(FakePaymentGateway::Task)> defer_;
};

}  // namespace waybill::order::testing
