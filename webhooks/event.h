// What the clients of orders are told: which events a write of an order's saga tells, and what they say.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "domain/order.h"
#include "saga/record.h"

namespace waybill::webhooks {

// Types of events about orders, as they go out.
inline constexpr std::string_view kEventTypes[] = {
    "order.confirmed", "order.completed",  "order.cancelled",    "order.failed",   "order.resolved",
    "payment.charged", "payment.refunded", "payment.authorized", "payment.voided",
};
// What an endpoint is sent when its client asks for that, whatever types it wants.
inline constexpr std::string_view kTestType = "webhook.test";

// Whether an endpoint can ask for these: a type, all of a family ("order.*"), or all ("*").
bool IsTypePattern(std::string_view pattern);

struct Event {
  // The webhook-id: the same however often it is made or sent, and of one order each type once; of a partial refund,
  // too.
  std::string id;
  std::string_view type;
  std::string body;  // JSON
};

// The version of the body's shape; what only adds to it leaves it as it is.
inline constexpr int kBodyVersion = 1;

// What the write of `order`, as it is to be, tells. What an order's later write repeats has the same id.
std::vector<Event> EventsOf(const saga::RecordOf<domain::Order>& order);

// What the write of a partial refund tells: that it is done.
std::optional<Event> EventOf(const saga::RecordOf<domain::PartialRefund>& refund);

// `id` tells tests apart.
Event TestEvent(const Uuid& id, absl::Time now);

}  // namespace waybill::webhooks
