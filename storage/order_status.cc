#include "storage/order_status.h"

#include <utility>

#include "domain/order.h"
#include "saga/outcome.h"

namespace waybill::storage {
namespace {

// A running order that waits at that step.
OrderStatus WaitingAt(std::string_view step) {
  return step == domain::kAssessRisk ? OrderStatus::kAwaitingReview : OrderStatus::kAwaitingPayment;
}

}  // namespace

std::string_view Name(OrderStatus status) {
  constexpr std::string_view kNames[] = {"",          "PENDING", "CONFIRMED", "COMPLETED",        "COMPENSATING",
                                         "CANCELLED", "FAILED",  "RESOLVED",  "AWAITING_PAYMENT", "AWAITING_REVIEW"};
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
  if (!waits) return StatusOf(header.state, header.failure);
  const std::optional<saga::Wait> wait = saga::ParseWaitName(header.waits_for);
  return wait ? WaitingAt(wait->step) : OrderStatus::kAwaitingPayment;
}

std::vector<OrderQuery::Status> FilterOf(OrderStatus status) {
  using Status = OrderQuery::Status;
  switch (status) {
    case OrderStatus::kPending:
      return {Status{.state = saga::State::kRunning, .waiting = false}};
    case OrderStatus::kAwaitingPayment:
      return {Status{.state = saga::State::kRunning, .waiting = true, .review = false}};
    case OrderStatus::kAwaitingReview:
      return {Status{.state = saga::State::kRunning, .waiting = true, .review = true}};
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
    transition.status = waits ? WaitingAt(entry.step) : StatusOf(entry.state, header.failure);
    transition.entry = std::move(entry);
    transitions.push_back(std::move(transition));
  }
  return transitions;
}

}  // namespace waybill::storage
