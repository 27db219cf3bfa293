// What gateways say by webhook of what has become of charges: before the charge's own answer or long after it, twice,
// of another amount, of nothing that we know, or never. An event is posted again and again until somebody answers 2xx,
// or its gateway gives up.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "payments/webhooks/gateways.h"
#include "services/sandbox/record.h"
#include "storage/testing/memory_webhook_inbox.h"
#include "tests/simulation/order_process.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/truth.h"

namespace waybill::simulation {

class GatewayPosts {
 public:
  using FindProcess = std::function<OrderProcess*(int number)>;
  // All outlive this.
  GatewayPosts(const Plan& plan, EventLoop& loop, Truth& truth, const storage::testing::MemoryOrderBook& orders,
               const storage::testing::MemoryInboxBook& inbox, FindProcess find,
               std::function<void(std::string_view)> tell);

  // How a service knows the gateways of this plan.
  static payments::WebhookGateways Known(const Plan& plan);

  // The books of a gateway have changed.
  void Tell(const std::string& gateway, const sandbox::Record& effect);

  // From now on what it says by a token alone may be about a payment that it has forgotten.
  void Restored(const std::string& gateway) { restored_.insert(gateway); }

  // Nothing is under way, and what arrived has been looked at to its end.
  bool Quiet() const;
  int refused() const { return refused_; }  // times, for the signature
  // At the end: what was answered 2xx is in the inbox, and has come as far as it can.
  void CheckEnd();

 private:
  struct Event;
  absl::Duration ClockAhead(const std::string& gateway) const;
  void Say(const std::string& gateway, const sandbox::Record& effect, Chance chance);
  void Post(std::shared_ptr<Event> event);
  void Deliver(const std::shared_ptr<Event>& event, OrderProcess& process);
  void Taken(const std::shared_ptr<Event>& event, bool must_be_refused);
  void Answered(const std::shared_ptr<Event>& event, unsigned code);
  void CheckItWaitsNoMore(const Event& event);
  bool IsSettled(const storage::testing::MemoryInboxBook::Row& row) const;

  const Plan& plan_;
  EventLoop& loop_;
  Truth& truth_;
  const storage::testing::MemoryOrderBook& orders_;
  const storage::testing::MemoryInboxBook& inbox_;
  const FindProcess find_;
  const std::function<void(std::string_view)> tell_;
  std::set<std::string> restored_;
  int refused_ = 0;
  int open_ = 0;                                                                    // events
  int events_ = 0;                                                                  // so far
  std::map<std::pair<std::string, std::string>, std::shared_ptr<Event>> answered_;  // 2xx; by gateway and id
};

}  // namespace waybill::simulation
