#include "storage/redis/redis_payment_events.h"

#include <string_view>
#include <utility>

namespace waybill::storage {
namespace {

constexpr std::string_view kPaymentEvents = "payment_events";
constexpr std::string_view kPaymentEventsMax = "100000";

}  // namespace

absl::Status RedisPaymentEvents::Add(std::span<const PaymentEvent> events) {
  RedisPipeline pipeline;
  for (const PaymentEvent& event : events) {
    pipeline.Add({"XADD", kPaymentEvents, "MAXLEN", "~", kPaymentEventsMax, "*", "gateway", event.gateway, "event_id",
                  event.event_id, "type", event.type, "state", event.state, "order_id", event.order_id});
  }
  RedisPool::Lease connection = pool_.Borrow();
  absl::StatusOr<RedisReplies> replies = connection->Run(pipeline);
  if (!replies.ok()) return replies.status();
  for (size_t at = 0; at < replies->size(); ++at) {
    if ((*replies)[at].IsError()) return RedisErrorStatus((*replies)[at].Text());
  }
  return absl::OkStatus();
}

}  // namespace waybill::storage
