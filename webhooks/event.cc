#include "webhooks/event.h"

#include <algorithm>
#include <iterator>

#include "absl/time/time.h"
#include "domain/currency.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace waybill::webhooks {
namespace {

using Json = nlohmann::ordered_json;
using OrderRecord = saga::RecordOf<domain::Order>;

std::string ShowTime(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone()); }

// By the names in waybill/order/v1.
std::string_view StatusOf(const saga::Header& order) {
  switch (order.state) {
    case saga::State::kRunning:
      return "PENDING";
    case saga::State::kSucceeded:
      return "CONFIRMED";
    case saga::State::kClosing:
    case saga::State::kClosed:
      return "COMPLETED";
    case saga::State::kCompensating:
      return "COMPENSATING";
    case saga::State::kCompensated:
      return order.failure.reason == saga::kCancelledReason ? "CANCELLED" : "FAILED";
    case saga::State::kResolved:
      break;
  }
  return "RESOLVED";
}

// Of the state that the write leads to; "" where that tells nothing.
std::string_view TypeOf(const saga::Header& order) {
  switch (order.state) {
    case saga::State::kRunning:
    case saga::State::kCompensating:
      return "";
    case saga::State::kSucceeded:
      return "order.confirmed";
    case saga::State::kClosing:
    case saga::State::kClosed:
      return "order.completed";
    case saga::State::kCompensated:
      return order.failure.reason == saga::kCancelledReason ? "order.cancelled" : "order.failed";
    case saga::State::kResolved:
      break;
  }
  return "order.resolved";
}

Json Amount(int64_t minor_units, const std::string& currency) {
  return {{"minor_units", minor_units},
          {"currency", currency},
          {"exponent", domain::CurrencyExponent(currency).value_or(0)}};
}

Json DataOf(const OrderRecord& record) {
  const domain::Order& order = record.payload;
  Json data = {{"order_id", record.id.ToString()}, {"idempotency_key", order.idempotency_key},
               {"user_id", order.user_id},         {"status", StatusOf(record)},
               {"sequence", record.seq},           {"amount", Amount(order.amount_minor, order.currency)}};
  if (!record.failure.reason.empty()) {
    data["failure"] = {{"reason", record.failure.reason}, {"detail", record.failure.detail}};
  }
  if (order.driver) data["driver_id"] = order.driver->driver_id;
  if (order.charge) {
    Json& payment = data["payment"];
    payment = {{"gateway_reference", order.charge->gateway_reference},
               {"charged_minor_units", order.charge->amount_minor},
               {"charge_time", ShowTime(order.charge->at)}};
    if (order.refund) {
      payment["refunded_minor_units"] = order.refund->amount_minor;
      payment["refund_time"] = ShowTime(order.refund->at);
    }
  }
  if (!order.attempts.empty() && order.attempts.back().authorization) {
    const domain::PaymentAttempt& attempt = order.attempts.back();
    Json& payment = data["payment"];
    payment["authorized_minor_units"] = order.amount_minor;
    payment["authorize_time"] = ShowTime(attempt.authorization->at);
    if (attempt.authorization->expires) {
      payment["authorization_expire_time"] = ShowTime(*attempt.authorization->expires);
    }
    if (attempt.state == domain::PaymentAttempt::State::kClosed) payment["voided"] = true;
  }
  return data;
}

// Without a dot: what is signed is "id.timestamp.body".
std::string IdOf(const Uuid& id, std::string_view type) {
  std::string name(type);
  std::replace(name.begin(), name.end(), '.', '_');
  return fmt::format("evt_{}_{}", id.ToString(), name);
}

Event MakeEvent(std::string id, std::string_view type, absl::Time at, Json data) {
  const Json body = {{"type", type}, {"timestamp", ShowTime(at)}, {"version", kBodyVersion}, {"data", std::move(data)}};
  // What is not UTF-8 has no business here, and does not keep the rest from being told.
  return {std::move(id), type, body.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

}  // namespace

bool IsTypePattern(std::string_view pattern) {
  if (pattern == "*" || pattern == "order.*" || pattern == "payment.*") return true;
  return std::find(std::begin(kEventTypes), std::end(kEventTypes), pattern) != std::end(kEventTypes);
}

std::vector<Event> EventsOf(const OrderRecord& order) {
  std::vector<std::string_view> types;
  if (const size_t number = order.payload.effects.attempt_changed; number > 0) {
    const std::string_view standing = domain::StandingOf(order.payload.attempts[number - 1]);
    if (standing == "authorized") types.push_back("payment.authorized");
    if (standing == "voided") types.push_back("payment.voided");
  }
  if (order.payload.effects.charged) types.push_back("payment.charged");
  if (order.payload.effects.refunded) types.push_back("payment.refunded");
  if (const std::string_view type = TypeOf(order); !type.empty()) types.push_back(type);
  std::vector<Event> events;
  for (const std::string_view type : types) {
    events.push_back(MakeEvent(IdOf(order.id, type), type, order.updated_at, DataOf(order)));
  }
  return events;
}

std::optional<Event> EventOf(const saga::RecordOf<domain::PartialRefund>& record) {
  const domain::PartialRefund& refund = record.payload;
  if (!refund.effects.decided || refund.state != domain::PartialRefund::State::kDone) return std::nullopt;
  constexpr std::string_view kType = "payment.refunded";
  Json data = {{"order_id", refund.order_id.ToString()},
               {"refund",
                {{"refund_id", refund.refund_id},
                 {"amount", Amount(refund.amount_minor, refund.currency)},
                 {"reason", refund.reason},
                 {"gateway_reference", refund.reference},
                 {"refund_time", ShowTime(*refund.decided_at)}}}};
  return MakeEvent(IdOf(record.id, kType), kType, record.updated_at, std::move(data));
}

Event TestEvent(const Uuid& id, absl::Time now) {
  return MakeEvent(IdOf(id, kTestType), kTestType, now, {{"message", "A test of this endpoint."}});
}

}  // namespace waybill::webhooks
