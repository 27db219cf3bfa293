// A payment gateway in memory that keeps its contract and its books, and misbehaves on request.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "services/order/payment_gateway.h"
#include "services/order/testing/fate.h"

namespace waybill::order::testing {

class FakePaymentGateway final : public PaymentGateway {
 public:
  using Task = absl::AnyInvocable<void()>;

  struct Account {
    int charges = 0;  // that executed
    int refunds = 0;
    int64_t charged_minor = 0;
    int64_t refunded_minor = 0;
    bool closed = false;           // refunded before it was ever charged
    std::string decline_reason;    // the first answer, to be repeated
    bool retryable = false;        // goes with it
    int64_t pending_minor = 0;     // to be charged, if that is decided
    int64_t authorized_minor = 0;  // held, neither captured nor voided
    bool authorize = false;        // the key is asked to authorize
    std::string capture_refusal;   // the first answer, to be repeated
    struct Part {
      int64_t amount_minor = 0;
      std::string refusal;  // empty: it was given back
    };
    std::map<std::string, Part> parts;  // by refund_id: their first answers, to be repeated
  };

  // The fates of the next calls, in order; then every call meets `fate`.
  void WillMeet(std::deque<Fate> fates);
  void set_fate(Fate fate);
  void Land();  // executes the charges and captures that are slow, and the parts that are to go back
  // As one that was made before RefundPart. Set before use.
  void set_without_parts(bool without) { without_parts_ = without; }
  // As a processor that knows no refund at all: whoever asks it first does not call.
  void set_can_refund(bool can) { can_refund_ = can; }
  bool can_refund() const override { return can_refund_; }
  // What pending charges are answered with, under a token of their own each. Set before use.
  void set_pending_until(absl::Time until) { pending_until_ = until; }
  // And where and until when their payers pay. Set before use.
  void set_checkout(std::string url, std::optional<absl::Time> expires) {
    checkout_url_ = std::move(url);
    expires_ = expires;
  }
  // What is authorized expires with `Expire`, and says so. Set before use.
  void set_authorization_expires(std::optional<absl::Time> at) { authorization_expires_ = at; }
  void Expire();                                      // all that is held can be captured no more
  void Decide(const std::string& key, bool approve);  // a pending charge; others stay as they are
  // Runs every answer through `defer`, which calls the task later; null: at once. Set before use.
  void set_defer(std::function<void(Task)> defer) { defer_ = std::move(defer); }

  void Charge(const ParticipantCall& call, const domain::Order& order,
              absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) override;
  void Authorize(const ParticipantCall& call, const domain::Order& order,
                 absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) override;
  void Capture(const ParticipantCall& call, const domain::Order& order,
               absl::AnyInvocable<void(absl::StatusOr<CaptureResult>)> done) override;
  void Refund(const ParticipantCall& call, const domain::Order& order,
              absl::AnyInvocable<void(absl::StatusOr<RefundResult>)> done) override;
  void RefundPart(const ParticipantCall& call, const ChargePart& part,
                  absl::AnyInvocable<void(absl::StatusOr<RefundPartResult>)> done) override;

  std::map<std::string, Account> books() const;  // by key
  int64_t NetMinor() const;                      // what the gateway has taken, and not given back
  int64_t HeldMinor() const;                     // what it has authorized, and neither captured nor voided
  ParticipantCall last_call() const;             // its traceparent does not live on

 private:
  Fate Next(const ParticipantCall& call);
  void Ask(bool authorize, const ParticipantCall& call, const domain::Order& order,
           absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done);
  ChargeResult ChargeNow(const std::string& key, int64_t amount_minor, Fate fate);
  CaptureResult CaptureNow(const std::string& key, int64_t amount_minor);
  RefundResult RefundNow(const std::string& key);
  absl::StatusOr<RefundPartResult> RefundPartNow(const std::string& key, const ChargePart& part);
  void Answer(Task task);

  mutable std::mutex mutex_;
  std::map<std::string, Account> books_;
  std::map<std::string, int64_t> slow_;           // amount by key, of charges that have not landed
  std::map<std::string, int64_t> slow_captures_;  // the same of captures
  std::map<std::string, ChargePart> slow_parts_;  // one a key at most, of those that have not landed
  std::atomic<bool> without_parts_{false};
  std::atomic<bool> can_refund_{true};
  std::deque<Fate> fates_;
  Fate fate_ = Fate::kAnswered;
  std::string checkout_url_;
  std::optional<absl::Time> expires_;
  std::optional<absl::Time> authorization_expires_;
  absl::Time pending_until_ = absl::InfiniteFuture();
  ParticipantCall last_call_;
  std::function<void(Task)> defer_;
};

}  // namespace waybill::order::testing
