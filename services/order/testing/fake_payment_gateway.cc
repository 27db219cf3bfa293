#include "services/order/testing/fake_payment_gateway.h"

#include <utility>

#include "absl/status/status.h"

namespace waybill::order::testing {
namespace {

std::string ReferenceOf(const std::string& key) { return "fake-" + key; }

}  // namespace

void FakePaymentGateway::WillMeet(std::deque<Fate> fates) {
  std::lock_guard lock(mutex_);
  fates_ = std::move(fates);
}

void FakePaymentGateway::set_fate(Fate fate) {
  std::lock_guard lock(mutex_);
  fate_ = fate;
}

void FakePaymentGateway::Land() {
  std::lock_guard lock(mutex_);
  for (const auto& [key, amount_minor] : slow_) ChargeNow(key, amount_minor, Fate::kAnswered);
  slow_.clear();
  for (const auto& [key, amount_minor] : slow_captures_) CaptureNow(key, amount_minor);
  slow_captures_.clear();
  for (const auto& [key, part] : slow_parts_) RefundPartNow(key, part).IgnoreError();
  slow_parts_.clear();
}

Fate FakePaymentGateway::Next(const ParticipantCall& call) {
  last_call_ = call;
  last_call_.traceparent = {};
  last_call_.tracestate = {};
  if (fates_.empty()) return fate_;
  Fate fate = fates_.front();
  fates_.pop_front();
  return fate;
}

void FakePaymentGateway::Decide(const std::string& key, bool approve) {
  std::lock_guard lock(mutex_);
  Account& account = books_[key];
  const int64_t amount_minor = std::exchange(account.pending_minor, 0);
  if (amount_minor != 0) ChargeNow(key, amount_minor, approve ? Fate::kAnswered : Fate::kDeclined);
}

ChargeResult FakePaymentGateway::ChargeNow(const std::string& key, int64_t amount_minor, Fate fate) {
  Account& account = books_[key];
  if (account.charges == 0 && account.decline_reason.empty() && account.pending_minor == 0 &&
      account.authorized_minor == 0) {
    if (account.closed) {
      account.decline_reason = "KEY_CLOSED";
    } else if (fate == Fate::kDeclined) {
      account.decline_reason = "CARD_DECLINED";
    } else if (fate == Fate::kDeclinedRetryable) {
      account.decline_reason = "LIMIT_REACHED";
      account.retryable = true;
    } else if (fate == Fate::kPending) {
      account.pending_minor = amount_minor;
    } else if (account.authorize) {
      account.authorized_minor = amount_minor;
    } else {
      ++account.charges;
      account.charged_minor += amount_minor;
    }
  }
  if (account.pending_minor != 0) {
    return ChargeResult::Postpone("pending-" + key, pending_until_, checkout_url_, expires_);
  }
  if (!account.decline_reason.empty()) return ChargeResult::Decline(account.decline_reason, account.retryable);
  return ChargeResult::Approve(ReferenceOf(key), account.authorize ? authorization_expires_ : std::nullopt);
}

CaptureResult FakePaymentGateway::CaptureNow(const std::string& key, int64_t amount_minor) {
  Account& account = books_[key];
  if (account.charges == 0 && account.capture_refusal.empty()) {
    if (account.authorized_minor == 0) {
      account.capture_refusal = account.closed ? "KEY_CLOSED" : "NOT_AUTHORIZED";
    } else {
      account.authorized_minor = 0;
      ++account.charges;
      account.charged_minor += amount_minor;
    }
  }
  if (!account.capture_refusal.empty()) return CaptureResult::Refuse(account.capture_refusal);
  return CaptureResult::Done(ReferenceOf(key));
}

void FakePaymentGateway::Expire() {
  std::lock_guard lock(mutex_);
  for (auto& [key, account] : books_) {
    if (std::exchange(account.authorized_minor, 0) != 0) account.capture_refusal = "EXPIRED";
  }
}

RefundResult FakePaymentGateway::RefundNow(const std::string& key) {
  Account& account = books_[key];
  if (account.charges == 0) {
    account.closed = true;
    account.pending_minor = 0;
    account.authorized_minor = 0;
    return {};
  }
  if (account.refunds == 0) {
    ++account.refunds;
    account.refunded_minor = account.charged_minor;  // with what its parts have left
  }
  return {account.refunded_minor, ReferenceOf(key) + "-back", ReferenceOf(key)};
}

absl::StatusOr<RefundPartResult> FakePaymentGateway::RefundPartNow(const std::string& key, const ChargePart& part) {
  Account& account = books_[key];
  const auto [known, fresh] = account.parts.try_emplace(part.refund_id);
  Account::Part& kept = known->second;
  if (fresh) {
    kept.amount_minor = part.amount_minor;
    if (account.charges == 0 || account.refunds > 0) {
      kept.refusal = "KEY_CLOSED";
    } else if (part.amount_minor > account.charged_minor - account.refunded_minor) {
      kept.refusal = "BEYOND_CHARGE";
    } else {
      account.refunded_minor += part.amount_minor;
    }
  }
  if (kept.amount_minor != part.amount_minor) return absl::FailedPreconditionError("the refund_id had another amount");
  if (!kept.refusal.empty()) return RefundPartResult::Refuse(kept.refusal);
  return RefundPartResult::Done(ReferenceOf(key) + "-part-" + part.refund_id);
}

void FakePaymentGateway::Charge(const ParticipantCall& call, const domain::Order& order,
                                absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) {
  Ask(/*authorize=*/false, call, order, std::move(done));
}

void FakePaymentGateway::Authorize(const ParticipantCall& call, const domain::Order& order,
                                   absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) {
  Ask(/*authorize=*/true, call, order, std::move(done));
}

void FakePaymentGateway::Capture(const ParticipantCall& call, const domain::Order& order,
                                 absl::AnyInvocable<void(absl::StatusOr<CaptureResult>)> done) {
  absl::StatusOr<CaptureResult> result = CaptureResult();
  {
    std::lock_guard lock(mutex_);
    const Fate fate = Next(call);
    if (slow_.contains(call.key) || slow_captures_.contains(call.key)) {
      result = StillExecuting();
    } else if (fate == Fate::kRefused) {
      result = CaptureResult::Refuse("RISK");
    } else {
      Account& account = books_[call.key];
      const bool declined = fate == Fate::kDeclined || fate == Fate::kDeclinedRetryable;
      if (declined && account.charges == 0 && account.capture_refusal.empty()) account.capture_refusal = "RISK";
      if (fate == Fate::kSlow) slow_captures_[call.key] = order.amount_minor;
      if (Executes(fate)) result = CaptureNow(call.key, order.amount_minor);
      if (!Answers(fate)) result = NoAnswer("the gateway", fate);
    }
  }
  Answer([done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
}

void FakePaymentGateway::Ask(bool authorize, const ParticipantCall& call, const domain::Order& order,
                             absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) {
  absl::StatusOr<ChargeResult> result = ChargeResult();
  {
    std::lock_guard lock(mutex_);
    const Fate fate = Next(call);
    if (authorize && (Executes(fate) || fate == Fate::kSlow)) books_[call.key].authorize = true;
    if (slow_.contains(call.key)) {
      result = StillExecuting();
    } else if (fate == Fate::kRefused) {
      result = ChargeResult::Decline("INSUFFICIENT_FUNDS");
    } else {
      if (fate == Fate::kSlow) slow_[call.key] = order.amount_minor;
      if (Executes(fate)) result = ChargeNow(call.key, order.amount_minor, fate);
      if (!Answers(fate)) result = NoAnswer("the gateway", fate);
    }
  }
  Answer([done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
}

void FakePaymentGateway::Refund(const ParticipantCall& call, const domain::Order&,
                                absl::AnyInvocable<void(absl::StatusOr<RefundResult>)> done) {
  absl::StatusOr<RefundResult> result = RefundResult();
  {
    std::lock_guard lock(mutex_);
    const Fate fate = Next(call);
    if (slow_.contains(call.key) || slow_captures_.contains(call.key) || slow_parts_.contains(call.key)) {
      result = StillExecuting();
    } else {
      if (Executes(fate)) result = RefundNow(call.key);
      if (!Answers(fate)) result = NoAnswer("the gateway", fate);
    }
  }
  Answer([done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
}

void FakePaymentGateway::RefundPart(const ParticipantCall& call, const ChargePart& part,
                                    absl::AnyInvocable<void(absl::StatusOr<RefundPartResult>)> done) {
  absl::StatusOr<RefundPartResult> result = RefundPartResult();
  {
    std::lock_guard lock(mutex_);
    const Fate fate = Next(call);
    if (without_parts_) {
      result = absl::UnimplementedError("there is no such method");
    } else if (slow_.contains(call.key) || slow_parts_.contains(call.key)) {
      result = StillExecuting();
    } else {
      if (fate == Fate::kSlow) slow_parts_[call.key] = part;
      if (Executes(fate)) result = RefundPartNow(call.key, part);
      if (!Answers(fate)) result = NoAnswer("the gateway", fate);
    }
  }
  Answer([done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
}

void FakePaymentGateway::Answer(Task task) {
  if (defer_) {
    defer_(std::move(task));
  } else {
    task();
  }
}

std::map<std::string, FakePaymentGateway::Account> FakePaymentGateway::books() const {
  std::lock_guard lock(mutex_);
  return books_;
}

int64_t FakePaymentGateway::HeldMinor() const {
  std::lock_guard lock(mutex_);
  int64_t held = 0;
  for (const auto& [key, account] : books_) held += account.authorized_minor;
  return held;
}

int64_t FakePaymentGateway::NetMinor() const {
  std::lock_guard lock(mutex_);
  int64_t net = 0;
  for (const auto& [key, account] : books_) net += account.charged_minor - account.refunded_minor;
  return net;
}

ParticipantCall FakePaymentGateway::last_call() const {
  std::lock_guard lock(mutex_);
  return last_call_;
}

}  // namespace waybill::order::testing
