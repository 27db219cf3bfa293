#include "services/order/refund_api.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "services/order/differing.h"
#include "services/order/intake.h"
#include "services/order/order_status.h"
#include "storage/refused_by.h"

namespace waybill::order {
namespace {

using domain::PartialRefund;
using domain::ReasonError;
using storage::OrderRecord;

absl::Status OfOrder(std::string_view reason, std::string_view message, const Uuid& order_id,
                     std::pair<std::string, std::string> more) {
  ErrorDetail detail;
  detail.metadata = {{"order_id", order_id.ToString()}, std::move(more)};
  return ReasonError(reason, message, std::move(detail));
}

absl::Status NotRefundable(const OrderRecord& order) {
  return OfOrder("ORDER_NOT_REFUNDABLE",
                 "only of an order that is confirmed or completed can a part of the money go back", order.id,
                 {"status", std::string(Name(StatusOf(order)))});
}

absl::Status BeyondCharge(const OrderRecord& order) {
  const int64_t left = order.payload.charge ? order.payload.charge->amount_minor - PartsOf(order.payload) : 0;
  return OfOrder("REFUND_BEYOND_CHARGE", fmt::format("{} of the charge is left", left), order.id,
                 {"left_minor", std::to_string(left)});
}

absl::Status Full(const OrderRecord& order) {
  return OfOrder("REFUNDS_FULL", "the order has had as many partial refunds as it may have", order.id,
                 {"refunds", std::to_string(order.payload.refunds.size())});
}

// Whether a refund can begin, as far as the order shows; the schema has the last word.
absl::Status MayBegin(const OrderRecord& order, int64_t amount_minor) {
  const bool stands = order.state == saga::State::kSucceeded || order.state == saga::State::kClosing ||
                      order.state == saga::State::kClosed;
  if (!stands || !order.payload.charge || order.payload.refund) return NotRefundable(order);
  if (amount_minor > order.payload.charge->amount_minor - PartsOf(order.payload)) return BeyondCharge(order);
  if (order.payload.refunds.size() >= domain::kPartialRefundsMax) return Full(order);
  return absl::OkStatus();
}

absl::Status CheckSame(const RefundRequest& asked, const PartialRefund& existing) {
  Differing differing;
  differing.If(asked.amount_minor != existing.amount_minor, "amount_minor")
      .If(asked.reason != existing.reason, "reason");
  if (differing.empty()) return absl::OkStatus();
  return OfOrder("REFUND_ID_REUSED",
                 fmt::format("the order has another refund of this id: {} differs", differing.fields()), asked.order_id,
                 {"fields", differing.fields()});
}

}  // namespace

int64_t PartsOf(const domain::Order& order) {
  int64_t sum = 0;
  for (const PartialRefund& refund : order.refunds) {
    if (refund.state != PartialRefund::State::kRefused) sum += refund.amount_minor;
  }
  return sum;
}

int64_t RefundedOf(const domain::Order& order) {
  if (order.refund) return order.refund->amount_minor;
  int64_t sum = 0;
  for (const PartialRefund& refund : order.refunds) {
    if (refund.state == PartialRefund::State::kDone || refund.state == PartialRefund::State::kResolved) {
      sum += refund.amount_minor;
    }
  }
  return sum;
}

std::optional<absl::Time> RefundTimeOf(const domain::Order& order) {
  std::optional<absl::Time> latest;
  if (order.refund) latest = order.refund->at;
  for (const PartialRefund& refund : order.refunds) {
    const bool back = refund.state == PartialRefund::State::kDone || refund.state == PartialRefund::State::kResolved;
    if (back && (!latest || *refund.decided_at > *latest)) latest = refund.decided_at;
  }
  return latest;
}

absl::StatusOr<RefundRequest> TakeRefundOrder(std::string_view order_id, RefundRequest request) {
  Violations violations;
  absl::StatusOr<Uuid> id = TakeId(order_id, "order_id");
  if (!id.ok()) return id.status();
  request.order_id = *id;
  CheckVisibleAscii(request.refund_id, kRefundIdMax, "refund_id", violations);
  if (request.amount_minor < 1 || request.amount_minor > kAmountMinorMax) {
    violations.Add("amount_minor", fmt::format("is not within 1..{}", kAmountMinorMax));
  }
  CheckText(request.reason, 0, kReasonMax, "reason", violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return request;
}

struct RefundApi::Asked {
  RefundRequest request;
  storage::Owner owner;
  domain::Actor by;
  OrderApi::Trace trace;
  Pending answer;
};

void RefundApi::Refund(RefundRequest request, storage::Owner owner, domain::Actor by, OrderApi::Trace trace,
                       SteadyTime deadline, Pending answer) {
  if (draining_) {
    answer->Give(ReasonError("SHUTTING_DOWN", "this process is draining"));
    return;
  }
  auto asked = std::make_shared<Asked>();
  asked->request = std::move(request);
  asked->owner = std::move(owner);
  asked->by = std::move(by);
  asked->trace = std::move(trace);
  asked->answer = answer;
  const SteadyTime until = std::min(deadline - options_.answer_margin, clock_.Steady() + options_.wait_max);
  BoundWait(answer, until, "refund");
  Executor::Task look = [this, asked] { Look(asked, /*begin=*/true); };
  if (!workers_.Submit(look)) answer->Give(domain::TooBusy());
}

// On a worker.
void RefundApi::Look(const AskedPtr& asked, bool begin) {
  absl::StatusOr<OrderRecord> order = store_.GetOf(asked->request.order_id, asked->owner);
  if (!order.ok()) {
    asked->answer->Give(order.status());
    return;
  }
  for (const PartialRefund& existing : order->payload.refunds) {
    if (existing.refund_id != asked->request.refund_id) continue;
    Take(asked, existing);
    return;
  }
  if (absl::Status may = MayBegin(*order, asked->request.amount_minor); !may.ok()) {
    asked->answer->Give(may);
  } else if (begin) {
    Begin(asked, *order);
  } else {
    // It was refused a moment ago, and there is room again: another refund was refused meanwhile.
    ErrorDetail detail;
    detail.retry_after = absl::Seconds(1);
    asked->answer->Give(
        ReasonError("STORE_UNAVAILABLE", "other refunds of the order are being decided; ask again", std::move(detail)));
  }
}

void RefundApi::Begin(const AskedPtr& asked, const OrderRecord& order) {
  const RefundRequest& request = asked->request;
  if (asked->by.client != order.payload.client) {
    const domain::Deed deed{asked->by,
                            "order.refund",
                            "order",
                            order.id.ToString(),
                            {{"refund_id", request.refund_id},
                             {"amount_minor", std::to_string(request.amount_minor)},
                             {"reason", request.reason},
                             {"of_client", order.payload.client}}};
    if (absl::Status audited = audit_.Append(deed); !audited.ok()) {
      asked->answer->Give(audited);
      return;
    }
  }
  auto fresh = std::make_unique<saga::RecordOf<PartialRefund>>();
  fresh->id = ids_.Next();
  fresh->created_at = fresh->updated_at = clock_.Now();
  fresh->traceparent = asked->trace.parent;
  fresh->tracestate = asked->trace.state;
  PartialRefund& refund = fresh->payload;
  refund.order_id = order.id;
  refund.saga_id = fresh->id;
  refund.refund_id = request.refund_id;
  refund.client = order.payload.client;
  const size_t attempts = order.payload.attempts.size();
  if (attempts > 0) refund.gateway = order.payload.attempts.back().gateway;
  refund.charge_key = domain::PaymentKey(order.id.ToString(), std::max<size_t>(attempts, 1));
  refund.amount_minor = request.amount_minor;
  refund.currency = order.payload.currency;
  refund.reason = request.reason;
  refund.begun_at = fresh->created_at;
  const PartialRefund begun = refund;
  runner_.Start(
      std::move(fresh),
      [this, asked, begun](absl::StatusOr<std::unique_ptr<saga::Record>> existing) {
        if (existing.ok() && *existing == nullptr) {
          asked->answer->Keep(begun);
        } else if (existing.ok()) {
          PartialRefund other = saga::As<PartialRefund>(**existing).payload;
          other.saga_id = (*existing)->id;
          Take(asked, other);
        } else if (storage::RefusedBy(existing.status(), {storage::kPartsWithinCharge, storage::kPartsBounded,
                                                          storage::kOfAnOrderThatStands})
                       .empty()) {
          asked->answer->Give(existing.status());
        } else {  // what came in between says why
          Executor::Task look = [this, asked] { Look(asked, /*begin=*/false); };
          if (!workers_.Submit(look)) asked->answer->Give(domain::TooBusy());
        }
      },
      [this, asked](absl::StatusOr<const saga::Record*> settled) {
        if (settled.ok()) {
          PartialRefund ended = saga::As<PartialRefund>(**settled).payload;
          ended.saga_id = (*settled)->id;
          asked->answer->Give(std::move(ended));
        } else {
          Poll(asked, options_.poll_initial);  // another process, or this one later, brings it to its end
        }
      });
}

void RefundApi::Take(const AskedPtr& asked, const PartialRefund& existing) {
  if (absl::Status same = CheckSame(asked->request, existing); !same.ok()) {
    asked->answer->Give(same);
  } else if (existing.state != PartialRefund::State::kOpen) {
    asked->answer->Give(existing);
  } else {
    asked->answer->Keep(existing);
    Poll(asked, options_.poll_initial);
  }
}

void RefundApi::Poll(const AskedPtr& asked, absl::Duration pause) {
  if (asked->answer->given()) return;
  auto later = [this, asked, pause] {
    const absl::Duration next = std::min(pause * 2, options_.poll_max);
    scheduler_.At(clock_.Steady() + pause, [this, asked, next] { Poll(asked, next); });
  };
  Executor::Task look = [this, asked, later] {
    absl::StatusOr<OrderRecord> order = store_.Get(asked->request.order_id);
    if (!order.ok() && !absl::IsUnavailable(order.status())) {
      asked->answer->Give(order.status());
      return;
    }
    if (order.ok()) {
      for (const PartialRefund& refund : order->payload.refunds) {
        if (refund.refund_id != asked->request.refund_id || refund.state == PartialRefund::State::kOpen) continue;
        asked->answer->Give(refund);
        return;
      }
    }
    later();
  };
  if (!workers_.Submit(look)) later();
}

}  // namespace waybill::order
