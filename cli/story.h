// Orders and sagas as people read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "cli/terminal.h"
#include "domain/geo.h"

namespace waybill::cli {

// One transition, of an order or of a saga. `state` is an order's status or a saga's state, by its name in the
// contract.
struct LogLine {
  int64_t sequence = 0;
  std::string step;  // empty: the order or saga itself
  int attempt = 0;
  std::string outcome;
  std::string detail;
  std::string state;  // after it
  absl::Time time;
};

struct PaymentView {
  std::string gateway = {};  // empty: the only one
  std::string gateway_reference;
  int64_t charged_minor = 0;
  int64_t refunded_minor = 0;
  std::optional<absl::Time> charged_at;
  std::optional<absl::Time> refunded_at;
  int64_t authorized_minor = 0;  // held before it was captured; 0: it was charged at once
  std::optional<absl::Time> authorized_at;
  std::optional<absl::Time> authorization_expires;
  bool voided = false;  // nothing of that was taken
};

struct RefundView {
  std::string refund_id;
  int64_t amount_minor = 0;
  std::string currency;
  std::string state;  // "DONE"
  std::string reason, refusal, gateway_reference;
  std::optional<absl::Time> decided_at;
};
// "2.50 EUR DONE at 12:00:01 (reference rp_2): it was cold"
std::string ShowRefund(const RefundView& refund);

struct OrderView {
  std::string id;
  std::string key;
  std::string user;
  int64_t amount_minor = 0;
  std::string currency;
  std::optional<domain::GeoPoint> pickup;
  std::vector<std::pair<std::string, std::string>> metadata;
  std::string status;
  std::string failure_reason;
  std::string failure_detail;
  std::string driver;  // empty: none now
  std::optional<PaymentView> payment;
  std::vector<RefundView> refunds;             // partial ones
  std::string checkout_url;                    // while it waits for the payer; empty: none was named
  std::optional<absl::Time> checkout_expires;  // the same
  bool needs_attention = false;
  absl::Time created;
  absl::Time updated;
  std::vector<LogLine> log;
};

// What nobody drives meanwhile waits for.
struct WaitView {
  std::string step;
  std::string action;  // "do", "undo", "close"
  std::string token;
  absl::Time until;
};

struct SagaView {
  std::string id;
  std::string kind;
  int version = 1;
  std::string state;
  std::string step;
  int attempt = 0;
  std::string failure_reason;
  std::string failure_detail;
  bool needs_attention = false;
  std::string owner;
  int64_t epoch = 0;
  std::optional<absl::Time> lease_until;
  std::vector<WaitView> waits;
  absl::Time created;
  absl::Time updated;
  std::string traceparent;
  std::vector<LogLine> log;
};

// Green: it went well. Red: it did not. Yellow: under way. Faint: ended by hand or on request.
Style StyleOf(std::string_view state_or_outcome);

// Facts, what happened step by step, and in one sentence where the order and its money stand.
std::string RenderOrder(const OrderView& order, absl::Time now, const Terminal& terminal);
std::string RenderOrders(const std::vector<OrderView>& orders, absl::Time now, const Terminal& terminal);
// The sentence alone.
std::string Verdict(const OrderView& order);

// Facts with the lease or the wait, the log, and what an operator can do.
std::string RenderSaga(const SagaView& saga, absl::Time now, const Terminal& terminal);
std::string RenderSagas(const std::vector<SagaView>& sagas, absl::Time now, const Terminal& terminal);

std::string RenderLog(const std::vector<LogLine>& log, const Terminal& terminal);
// For a stream: lines come one by one, so that columns have fixed widths. `previous`: the time of the line before.
std::string RenderLogLine(const LogLine& line, std::optional<absl::Time> previous, const Terminal& terminal);

}  // namespace waybill::cli
