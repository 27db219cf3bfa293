#include "services/order/payment_routing.h"

#include <array>
#include <utility>

#include "runtime/status.h"

namespace waybill::order {
namespace {

payments::Payment PaymentOf(const domain::Order& order) { return {order.client, order.currency, order.amount_minor}; }

}  // namespace

class PaymentRouting::Learning final : public PaymentGateway {
 public:
  Learning(std::string name, PaymentGateway& gateway, payments::Router& router, const Clock& clock, Metrics& metrics)
      : name_(std::move(name)),
        gateway_(gateway),
        router_(router),
        clock_(clock),
        seconds_(metrics.AddHistogram("waybill_gateway_call_seconds", "Calls of a payment gateway that it answered.",
                                      LatencyBuckets(), {{"gateway", name_}})) {
    constexpr std::array<const char*, kOutcomes> kNames = {"approved",     "declined",   "pending",  "refunded",
                                                           "closed",       "unknown",    "not_sent", "part_refunded",
                                                           "part_refused", "authorized", "captured", "capture_refused"};
    for (size_t i = 0; i < kOutcomes; ++i) {
      outcomes_[i] =
          &metrics.AddCounter("waybill_gateway_calls_total", "Calls of a payment gateway, by what became of them.",
                              {{"gateway", name_}, {"outcome", kNames[i]}});
    }
  }

  void Charge(const ParticipantCall& call, const domain::Order& order,
              absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) override {
    gateway_.Charge(call, order, [this, started = clock_.Steady(), done = std::move(done)](auto result) mutable {
      Note(result.status(), started);
      if (result.ok()) Count(result->approved() ? kApproved : result->pending() ? kPending : kDeclined);
      done(std::move(result));
    });
  }
  void Authorize(const ParticipantCall& call, const domain::Order& order,
                 absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) override {
    gateway_.Authorize(call, order, [this, started = clock_.Steady(), done = std::move(done)](auto result) mutable {
      Note(result.status(), started);
      if (result.ok()) Count(result->approved() ? kAuthorized : result->pending() ? kPending : kDeclined);
      done(std::move(result));
    });
  }
  void Capture(const ParticipantCall& call, const domain::Order& order,
               absl::AnyInvocable<void(absl::StatusOr<CaptureResult>)> done) override {
    gateway_.Capture(call, order, [this, started = clock_.Steady(), done = std::move(done)](auto result) mutable {
      Note(result.status(), started);
      if (result.ok()) Count(result->captured() ? kCaptured : kCaptureRefused);
      done(std::move(result));
    });
  }
  void Refund(const ParticipantCall& call, const domain::Order& order,
              absl::AnyInvocable<void(absl::StatusOr<RefundResult>)> done) override {
    gateway_.Refund(call, order, [this, started = clock_.Steady(), done = std::move(done)](auto result) mutable {
      Note(result.status(), started);
      if (result.ok()) Count(result->refunded_minor > 0 ? kRefunded : kClosed);
      done(std::move(result));
    });
  }
  bool can_refund() const override { return gateway_.can_refund(); }
  void RefundPart(const ParticipantCall& call, const ChargePart& part,
                  absl::AnyInvocable<void(absl::StatusOr<RefundPartResult>)> done) override {
    gateway_.RefundPart(call, part, [this, started = clock_.Steady(), done = std::move(done)](auto result) mutable {
      if (absl::IsUnimplemented(result.status())) {
        Count(kPartRefused);  // it answers, and never will otherwise
      } else {
        Note(result.status(), started);
        if (result.ok()) Count(result->refunded() ? kPartRefunded : kPartRefused);
      }
      done(std::move(result));
    });
  }

 private:
  enum : size_t {
    kApproved,
    kDeclined,
    kPending,
    kRefunded,
    kClosed,
    kUnknown,
    kNotSent,
    kPartRefunded,
    kPartRefused,
    kAuthorized,
    kCaptured,
    kCaptureRefused,
    kOutcomes
  };

  void Count(size_t outcome) { outcomes_[outcome]->Increment(); }
  void Note(const absl::Status& status, SteadyTime started) {
    const absl::Duration took = clock_.Steady() - started;
    if (status.ok()) {
      seconds_.Observe(absl::ToDoubleSeconds(took));
      router_.Answered(name_, took);
      return;
    }
    Count(GetErrorDetail(status).reason == kCallNotSent ? kNotSent : kUnknown);
    // It is still at the first call of this key, so it is there; or it answers, and what is wrong is wrong with this
    // order.
    const bool there = absl::IsAborted(status) || absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status);
    there ? router_.Spoke(name_) : router_.Failed(name_);
  }

  const std::string name_;
  PaymentGateway& gateway_;
  payments::Router& router_;
  const Clock& clock_;
  prometheus::Histogram& seconds_;
  std::array<prometheus::Counter*, kOutcomes> outcomes_;
};

PaymentRouting::PaymentRouting(payments::Router& router, std::map<std::string, PaymentGateway*> gateways,
                               const Clock& clock, Metrics& metrics, RoutingOptions options)
    : router_(router), options_(options) {
  for (const auto& [name, gateway] : gateways) {
    gateways_[name] = std::make_unique<Learning>(name, *gateway, router_, clock, metrics);
    metrics.AddCallbackGauge("waybill_gateway_outage_open",
                             "1 while a payment gateway is taken for out by this process.",
                             [&router, name = name] { return router.IsOut(name) ? 1.0 : 0.0; }, {{"gateway", name}});
  }
}

PaymentRouting::~PaymentRouting() = default;

void PaymentRouting::Begin(domain::Order& order, Capturing capturing) {
  order.attempts.clear();
  int64_t exploring = 0;
  std::optional<std::string> gateway = router_.Choose(PaymentOf(order), &exploring);
  if (!gateway) return;
  Add(*std::move(gateway), order, capturing);
  order.attempts.back().exploring = exploring;
}

void PaymentRouting::Add(std::string gateway, domain::Order& order, Capturing capturing) {
  domain::PaymentAttempt& attempt = order.attempts.emplace_back();
  attempt.gateway = std::move(gateway);
  attempt.cost_ppm = router_.CostPpm(attempt.gateway);
  attempt.capture_later = capturing == Capturing::kByGateway && router_.CapturesLater(attempt.gateway);
}

void PaymentRouting::Drop(const domain::Order& order) {
  if (order.attempts.empty() || order.attempts.front().exploring == 0) return;
  router_.NotAsked(order.attempts.front().gateway, order.attempts.front().exploring);
}

std::optional<std::string> PaymentRouting::Another(const domain::Order& order) {
  if (order.attempts.size() >= options_.gateways_max) return std::nullopt;
  std::vector<std::string> tried;
  for (const domain::PaymentAttempt& attempt : order.attempts) tried.push_back(attempt.gateway);
  return router_.ChooseOther(PaymentOf(order), tried);
}

bool PaymentRouting::HasAnother(const domain::Order& order) { return Another(order).has_value(); }

bool PaymentRouting::GoOn(domain::Order& order, domain::PaymentAttempt::State left, Capturing capturing) {
  std::optional<std::string> gateway = Another(order);
  if (!gateway) return false;
  order.attempts.back().state = left;
  order.pending.reset();  // what the one before said of its checkout
  order.effects.attempt_changed = static_cast<uint8_t>(order.attempts.size());
  Add(*std::move(gateway), order, capturing);
  order.effects.attempt_begun = static_cast<uint8_t>(order.attempts.size());
  return true;
}

PaymentGateway* PaymentRouting::Find(const std::string& gateway) const {
  const auto found = gateways_.find(gateway);
  return found == gateways_.end() ? nullptr : found->second.get();
}

}  // namespace waybill::order
