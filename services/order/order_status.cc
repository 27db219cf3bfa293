#include "services/order/order_status.h"

#include <utility>

namespace waybill::order {

std::string_view Name(OrderStatus status) {
  constexpr std::string_view kNames[] = {"",          "PENDING", "CONFIRMED", "COMPLETED",       "COMPENSATING",
                                         "CANCELLED", "FAILED",  "RESOLVED",  "AWAITING_PAYMENT"};
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

OrderStatus StatusOf(const saga::Header& header) {
  const bool waits = header.state == saga::State::kRunning && !header.waits_for.empty();
  return waits ? OrderStatus::kAwaitingPayment : StatusOf(header.state, header.failure);
}

std::vector<storage::OrderQuery::Status> FilterOf(OrderStatus status) {
  using Status = storage::OrderQuery::Status;
  switch (status) {
    case OrderStatus::kPending:
      return {Status{.state = saga::State::kRunning, .waiting = false}};
    case OrderStatus::kAwaitingPayment:
      return {Status{.state = saga::State::kRunning, .waiting = true}};
    case OrderStatus::kConfirmed:
      return {Status{.state = saga::State::kSucceeded}};
    case OrderStatus::kCompleted:
      return {Status{.state = saga::State::kClosing}, Status{.state = saga::State::kClosed}};
    case OrderStatus::kCompensating:
      return {Status{.state = saga::State::kCompensating}};
    case OrderStatus::kCancelled:
      return {Status{.state = saga::State::kCompensated, .cancelled = true}};
    case OrderStatus::kFailed:
      return {Status{.state = saga::State::kCompensated, .cancelled = false}};
    case OrderStatus::kResolved:
      break;
  }
  return {Status{.state = saga::State::kResolved}};
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
    const bool waits = entry.state == saga::State::kRunning && entry.outcome == saga::LogOutcome::kWaiting;
    transition.status = waits ? OrderStatus::kAwaitingPayment : StatusOf(entry.state, header.failure);
    transition.entry = std::move(entry);
    transitions.push_back(std::move(transition));
  }
  return transitions;
}

}  // namespace waybill::order
