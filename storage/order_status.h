// What an order's saga means to its caller.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "domain/partial_refund.h"
#include "saga/record.h"
#include "storage/order_store.h"

namespace waybill::storage {

// As in waybill/order/v1, with the same numbers.
enum class OrderStatus : uint8_t {
  kPending = 1,
  kConfirmed = 2,
  kCompleted = 3,
  kCompensating = 4,
  kCancelled = 5,
  kFailed = 6,
  kResolved = 7,
  kAwaitingPayment = 8,
  kAwaitingReview = 9,
};

std::string_view Name(OrderStatus status);  // "PENDING"

// Of an order whose saga stands there and waits for nothing.
OrderStatus StatusOf(saga::State state, const saga::Failure& failure);
OrderStatus StatusOf(const saga::Header& header);

// The filter that finds the orders of that status.
std::vector<OrderQuery::Status> FilterOf(OrderStatus status);

// One line of an order's story: its saga's log with "accepted" as number 0.
struct Transition {
  saga::LogEntry entry;
  bool accepted = false;
  OrderStatus status = OrderStatus::kPending;  // of the order, after this
  // No line of the log, but a partial refund of the order's, as it stands.
  std::optional<domain::PartialRefund> refund = std::nullopt;

  std::string_view outcome() const { return accepted ? std::string_view("accepted") : saga::Name(entry.outcome); }
};

// `log` holds the entries from max(from_seq, 1) on.
std::vector<Transition> TransitionsOf(const saga::Header& header, std::vector<saga::LogEntry> log, int64_t from_seq);

}  // namespace waybill::storage
