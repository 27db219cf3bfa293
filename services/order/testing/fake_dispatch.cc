#include "services/order/testing/fake_dispatch.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"

namespace waybill::order::testing {
void FakeDispatch::Land() {
  std::lock_guard lock(mutex_);
  for (const std::string& key : slow_) AssignNow(key, false);
  slow_.clear();
}

void FakeDispatch::WillMeet(std::deque<Fate> fates) {
  std::lock_guard lock(mutex_);
  fates_ = std::move(fates);
}

Fate FakeDispatch::Next() {
  if (fates_.empty()) return Fate::kAnswered;
  Fate fate = fates_.front();
  fates_.pop_front();
  return fate;
}

AssignResult FakeDispatch::AssignNow(const std::string& key, bool none) {
  if (closed_.contains(key)) return {std::nullopt, "KEY_CLOSED"};
  if (auto first = answers_.find(key); first != answers_.end()) return first->second;
  AssignResult result{std::nullopt, std::string(kNoDriverAvailable)};
  for (const std::string& driver : drivers_) {
    const bool busy = std::any_of(assigned_.begin(), assigned_.end(),
                                  [&](const auto& assigned) { return assigned.second == driver; });
    if (none || busy) continue;
    assigned_[key] = driver;
    result = {domain::DriverSlot{driver, 1}, ""};
    break;
  }
  answers_[key] = result;
  return result;
}

void FakeDispatch::Assign(const ParticipantCall& call, const Uuid&, const domain::Order&, int,
                          absl::AnyInvocable<void(absl::StatusOr<AssignResult>)> done) {
  absl::StatusOr<AssignResult> result = AssignResult();
  {
    std::lock_guard lock(mutex_);
    const Fate fate = Next();
    if (slow_.contains(call.key)) {
      result = StillExecuting();
    } else if (fate == Fate::kRefused) {
      result = AssignResult{std::nullopt, std::string(kNoDriverAvailable)};
    } else {
      if (fate == Fate::kSlow) slow_.insert(call.key);
      if (Executes(fate)) result = AssignNow(call.key, fate == Fate::kDeclined);
      if (!Answers(fate)) result = NoAnswer("the dispatcher", fate);
    }
  }
  Answer([done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
}

void FakeDispatch::Release(const ParticipantCall& call, const Uuid&, const domain::Order&,
                           absl::AnyInvocable<void(absl::Status)> done) {
  absl::Status result;
  {
    std::lock_guard lock(mutex_);
    const Fate fate = Next();
    if (slow_.contains(call.key)) {
      result = StillExecuting();
    } else if (Executes(fate)) {
      assigned_.erase(call.key);
      closed_.insert(call.key);
    }
    if (result.ok() && !Answers(fate)) result = NoAnswer("the dispatcher", fate);
  }
  Answer([done = std::move(done), result]() mutable { done(result); });
}

void FakeDispatch::Answer(FakePaymentGateway::Task task) {
  if (defer_) {
    defer_(std::move(task));
  } else {
    task();
  }
}

std::map<std::string, std::string> FakeDispatch::assigned() const {
  std::lock_guard lock(mutex_);
  return assigned_;
}

}  // namespace waybill::order::testing
