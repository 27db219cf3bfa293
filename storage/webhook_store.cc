#include "storage/webhook_store.h"

#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::storage {

std::string_view Name(WebhookDelivery::State state) {
  switch (state) {
    case WebhookDelivery::State::kWaiting:
      return "waiting";
    case WebhookDelivery::State::kDelivered:
      return "delivered";
    case WebhookDelivery::State::kDead:
      return "dead";
    case WebhookDelivery::State::kDiscarded:
      break;
  }
  return "discarded";
}

absl::Status EndpointNotFound(const std::string& id) {
  return domain::ReasonError("ENDPOINT_NOT_FOUND", fmt::format("there is no endpoint {}", id));
}

absl::Status DeliveryNotFound(const std::string& event_id) {
  return domain::ReasonError("DELIVERY_NOT_FOUND", fmt::format("there is no such delivery of {}", event_id));
}

}  // namespace waybill::storage
