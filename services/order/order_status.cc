#include "services/order/order_status.h"

#include <utility>

namespace waybill::order {

std::string_view Name(OrderStatus status) {
  constexpr std::string_view kNames[] = {"",          "PENDING", "CONFIRMED", "COMPLETED", "COMPENSATING",
                                         "CANCELLED", "FAILED",  "RESOLVED"};
  return kNames[static_cast<size_t>(status)];
}

OrderStatus StatusOf(saga::State state, const saga::Failure& failure) {
  switch (state) {
    case saga::State::kRunning:
      return OrderStatus::kPending;
    case saga::State::kSucceeded:
      return OrderStatus::kConfirmed;
    case saga::State::kClosing:  // the dispatcher may not know yet
    case saga::State::kClosed:
      return OrderStatus::kCompleted;
    case saga::State::kCompensating:
      return OrderStatus::kCompensating;
    case saga::State::kCompensated:
      return failure.reason == saga::kCancelledReason ? OrderStatus::kCancelled : OrderStatus::kFailed;
    case saga::State::kResolved:
      break;
  }
  return OrderStatus::kResolved;
}

std::vector<storage::OrderQuery::Status> FilterOf(OrderStatus status) {
  switch (status) {
    case OrderStatus::kPending:
      return {{saga::State::kRunning, std::nullopt}};
    case OrderStatus::kConfirmed:
      return {{saga::State::kSucceeded, std::nullopt}};
    case OrderStatus::kCompleted:
      return {{saga::State::kClosing, std::nullopt}, {saga::State::kClosed, std::nullopt}};
    case OrderStatus::kCompensating:
      return {{saga::State::kCompensating, std::nullopt}};
    case OrderStatus::kCancelled:
      return {{saga::State::kCompensated, true}};
    case OrderStatus::kFailed:
      return {{saga::State::kCompensated, false}};
    case OrderStatus::kResolved:
      break;
  }
  return {{saga::State::kResolved, std::nullopt}};
}

std::vector<Transition> TransitionsOf(const saga::Header& header, std::vector<saga::LogEntry> log, int64_t from_seq) {
  std::vector<Transition> transitions;
  transitions.reserve(log.size() + 1);
  if (from_seq <= 0) {
    Transition accepted;
    accepted.accepted = true;
    accepted.entry.at = header.created_at;
    transitions.push_back(std::move(accepted));
  }
  for (saga::LogEntry& entry : log) {
    Transition transition;
    transition.status = StatusOf(entry.state, header.failure);
    transition.entry = std::move(entry);
    transitions.push_back(std::move(transition));
  }
  return transitions;
}

}  // namespace waybill::order
