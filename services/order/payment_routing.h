// The gateways of a routed service, by name, and which of them an order goes to: what the payments' router knows, and
// the calls that teach it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "domain/order.h"
#include "payments/router.h"
#include "runtime/clock.h"
#include "runtime/metrics.h"
#include "services/order/payment_gateway.h"

namespace waybill::order {

struct RoutingOptions {
  // Attempts at an order, each at another gateway.
  size_t gateways_max = 3;
  // Calls of one attempt that nobody answered, after which its key is closed where another gateway is at hand; at once
  // when the gateway is out.
  int asks_max = 3;
};

// How the money of an attempt is taken.
enum class Capturing {
  kAtOnce,     // charged, whatever its gateway can
  kByGateway,  // authorized, and captured by a later step, where the gateways file says so
};

class PaymentRouting {
 public:
  // All outlive it. `gateways` by name.
  PaymentRouting(payments::Router& router, std::map<std::string, PaymentGateway*> gateways, const Clock& clock,
                 Metrics& metrics, RoutingOptions options = {});
  ~PaymentRouting();
  PaymentRouting(const PaymentRouting&) = delete;
  PaymentRouting& operator=(const PaymentRouting&) = delete;

  // The first attempt at a new order; none, when no gateway takes it.
  void Begin(domain::Order& order, Capturing capturing = Capturing::kAtOnce);
  // The order is not made after all: nobody is asked.
  void Drop(const domain::Order& order);
  // The next attempt, at a gateway that was not tried yet; false: there is none, and nothing has changed.
  bool GoOn(domain::Order& order, domain::PaymentAttempt::State left, Capturing capturing = Capturing::kAtOnce);
  // Whether GoOn would find one.
  bool HasAnother(const domain::Order& order);

  // Its calls are counted and learnt from. Null: none has that name.
  PaymentGateway* Find(const std::string& gateway) const;
  bool IsOut(const std::string& gateway) const { return router_.IsOut(gateway); }
  bool IsDrained(const std::string& gateway) const { return router_.IsDrained(gateway); }
  bool MayAskAgain(const std::string& gateway) { return router_.MayAskAgain(gateway); }
  payments::Router& router() { return router_; }
  const RoutingOptions& options() const { return options_; }

 private:
  class Learning;

  void Add(std::string gateway, domain::Order& order, Capturing capturing);
  std::optional<std::string> Another(const domain::Order& order);

  payments::Router& router_;
  const RoutingOptions options_;
  std::map<std::string, std::unique_ptr<Learning>> gateways_;
};

}  // namespace waybill::order
