// The capped stream `payment_events` in Redis.
#pragma once

#include <span>

#include "storage/redis/pool.h"
#include "storage/webhook_inbox.h"

namespace waybill::storage {

class RedisPaymentEvents final : public PaymentEvents {
 public:
  RedisPaymentEvents(RedisUrl url, RedisOptions options) : pool_(std::move(url), options) {}
  absl::Status Add(std::span<const PaymentEvent> events) override;

 private:
  RedisPool pool_;
};

}  // namespace waybill::storage
