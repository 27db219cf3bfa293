#include "storage/order_store.h"

#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::storage {

absl::Status OrderNotFound(const Uuid& order_id) {
  ErrorDetail detail;
  detail.metadata.emplace_back("id", order_id.ToString());
  return domain::ReasonError("ORDER_NOT_FOUND", fmt::format("there is no order {}", order_id.ToString()),
                             std::move(detail));
}

bool IsInReview(const saga::Header& header) {
  const std::optional<saga::Wait> wait = saga::ParseWaitName(header.waits_for);
  return header.state == saga::State::kRunning && wait && wait->step == domain::kAssessRisk;
}

absl::StatusOr<OrderRecord> OrderStore::GetOf(const Uuid& order_id, const Owner& owner) {
  absl::StatusOr<OrderRecord> order = Get(order_id);
  if (order.ok() && owner && order->payload.client != *owner) return OrderNotFound(order_id);
  return order;
}

}  // namespace waybill::storage
