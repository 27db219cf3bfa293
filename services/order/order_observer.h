// Tells those who want to know what the runner does: metrics, dispatch, watches and the log.
#pragma once

#include "runtime/log.h"
#include "saga/runner.h"
#include "services/order/dispatch.h"
#include "services/order/order_metrics.h"
#include "services/order/order_watch.h"

namespace waybill::order {

class OrderObserver final : public saga::Observer {
 public:
  // All outlive this.
  OrderObserver(OrderMetrics& metrics, Dispatch& dispatch, OrderWatches& watches, const Logger& log)
      : metrics_(metrics), dispatch_(dispatch), watches_(watches), log_(log.For("services.order")) {}

  void OnAttempt(std::string_view step, saga::Direction direction, saga::Outcome::Kind outcome,
                 absl::Duration) override {
    metrics_.Attempt(step, direction, outcome);
  }
  void OnRetry(std::string_view step, saga::Direction) override { metrics_.Retry(step); }
  void OnTransition(const saga::Header& header) override {
    dispatch_.OnDurable(header.id);
    watches_.OnTransition(header.id);
  }
  void OnSettled(const saga::Header& header, absl::Duration age) override;
  void OnWaiting(const saga::Header& header) override;
  void OnNeedsAttention(const saga::Header& header) override;
  void OnRecovered(const saga::Header&) override { metrics_.Recovered(); }
  void OnFenced(const saga::Header& header) override;
  void OnLostClaim(const saga::Header&) override { metrics_.LostClaim(); }
  void OnRefused(const saga::Header& header, const absl::Status& why) override;

 private:
  OrderMetrics& metrics_;
  Dispatch& dispatch_;
  OrderWatches& watches_;
  const Logger log_;
};

}  // namespace waybill::order
