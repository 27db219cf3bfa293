#include "services/order/grpc_order_service.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "edge/rpc/proto_time.h"
#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "services/order/intake.h"
#include "services/order/refund_api.h"
#include "services/order/requests.h"
#include "waybill/order/v1/order.pb.h"

namespace waybill::order {
namespace {

namespace pb = waybill::order::v1;

using CreateCall = rpc::UnaryCall<pb::CreateOrderRequest, pb::Order>;
using GetCall = rpc::UnaryCall<pb::GetOrderRequest, pb::Order>;
using ListCall = rpc::UnaryCall<pb::ListOrdersRequest, pb::ListOrdersResponse>;
using WatchCall = rpc::ServerStreamCall<pb::WatchOrderRequest, pb::OrderTransition>;
using CancelCall = rpc::UnaryCall<pb::CancelOrderRequest, pb::Order>;
using RefundCall = rpc::UnaryCall<pb::RefundOrderRequest, pb::Refund>;
using CheckPaymentCall = rpc::UnaryCall<pb::CheckPaymentRequest, pb::Order>;
using CompleteCall = rpc::UnaryCall<pb::CompleteOrderRequest, pb::Order>;

pb::Refund::State OnTheWire(domain::PartialRefund::State state) {
  switch (state) {
    case domain::PartialRefund::State::kOpen:
      return pb::Refund::OPEN;
    case domain::PartialRefund::State::kDone:
      return pb::Refund::DONE;
    case domain::PartialRefund::State::kRefused:
      return pb::Refund::REFUSED;
    case domain::PartialRefund::State::kResolved:
      return pb::Refund::RESOLVED;
  }
  return pb::Refund::STATE_UNSPECIFIED;
}

void Fill(const domain::PartialRefund& refund, pb::Refund& out) {
  out.set_order_id(refund.order_id.ToString());
  out.set_refund_id(refund.refund_id);
  out.mutable_amount()->set_minor_units(refund.amount_minor);
  out.mutable_amount()->set_currency(refund.currency);
  out.set_reason(refund.reason);
  out.set_state(OnTheWire(refund.state));
  out.set_refusal(refund.refusal);
  out.set_gateway_reference(refund.reference);
  out.set_saga_id(refund.saga_id.ToString());
  rpc::SetTime(refund.begun_at, *out.mutable_create_time());
  if (refund.decided_at) rpc::SetTime(*refund.decided_at, *out.mutable_decide_time());
}

void Fill(const storage::OrderRecord& record, pb::Order& out) {
  const domain::Order& order = record.payload;
  out.set_order_id(record.id.ToString());
  out.set_idempotency_key(order.idempotency_key);
  out.set_user_id(order.user_id);
  out.mutable_amount()->set_minor_units(order.amount_minor);
  out.mutable_amount()->set_currency(order.currency);
  if (order.pickup.has_value()) {
    out.mutable_pickup()->set_latitude(order.pickup->latitude);
    out.mutable_pickup()->set_longitude(order.pickup->longitude);
  }
  for (const auto& [key, value] : order.metadata) (*out.mutable_metadata())[key] = value;
  const OrderStatus status = StatusOf(record);
  out.set_status(static_cast<pb::OrderStatus>(status));
  if (status == OrderStatus::kAwaitingPayment && order.pending.has_value() &&
      (!order.pending->checkout_url.empty() || order.pending->expires.has_value())) {
    pb::Checkout& checkout = *out.mutable_checkout();
    checkout.set_url(order.pending->checkout_url);
    if (order.pending->expires) rpc::SetTime(*order.pending->expires, *checkout.mutable_expire_time());
  }
  if (!record.failure.reason.empty()) {
    out.mutable_failure()->set_reason(record.failure.reason);
    out.mutable_failure()->set_detail(record.failure.detail);
  }
  if (order.driver.has_value()) out.set_driver_id(order.driver->driver_id);
  if (order.charge.has_value()) {
    pb::Payment& payment = *out.mutable_payment();
    payment.set_gateway_reference(order.charge->gateway_reference);
    if (!order.attempts.empty()) payment.set_gateway(order.attempts.back().gateway);
    payment.set_charged_minor_units(order.charge->amount_minor);
    rpc::SetTime(order.charge->at, *payment.mutable_charge_time());
    payment.set_refunded_minor_units(RefundedOf(order));
    if (std::optional<absl::Time> at = RefundTimeOf(order)) rpc::SetTime(*at, *payment.mutable_refund_time());
  }
  if (!order.attempts.empty() && order.attempts.back().authorization) {
    const domain::PaymentAttempt& attempt = order.attempts.back();
    pb::Payment& payment = *out.mutable_payment();
    payment.set_gateway(attempt.gateway);
    payment.set_authorized_minor_units(order.amount_minor);
    rpc::SetTime(attempt.authorization->at, *payment.mutable_authorize_time());
    if (attempt.authorization->expires) {
      rpc::SetTime(*attempt.authorization->expires, *payment.mutable_authorization_expire_time());
    }
    payment.set_voided(attempt.state == domain::PaymentAttempt::State::kClosed);
  }
  for (const domain::PartialRefund& refund : order.refunds) Fill(refund, *out.add_refunds());
  out.set_needs_attention(record.needs_attention);
  rpc::SetTime(record.created_at, *out.mutable_create_time());
  rpc::SetTime(record.updated_at, *out.mutable_update_time());
}

void Fill(const Transition& transition, pb::OrderTransition& out) {
  if (transition.refund) {
    Fill(*transition.refund, *out.mutable_refund());
    out.set_status(static_cast<pb::OrderStatus>(transition.status));
    return;
  }
  out.set_sequence(transition.entry.seq);
  out.set_step(transition.entry.step);
  out.set_attempt(transition.entry.attempt);
  out.set_outcome(std::string(transition.outcome()));
  out.set_detail(transition.entry.detail);
  out.set_status(static_cast<pb::OrderStatus>(transition.status));
  rpc::SetTime(transition.entry.at, *out.mutable_time());
}

// Whose orders the caller sees.
storage::Owner OwnerFor(const access::Caller& caller) {
  return caller.SeesAllOrders() ? storage::Owner() : storage::Owner(caller.client);
}

// Gives the call to its pending answer, which ends when the client goes away.
template <typename Call, typename Respond>
OrderApi::Pending Expect(OrderApi& api, typename Call::Ptr call, Respond respond) {
  Call& kept = *call;
  OrderApi::Pending answer =
      api.Expect([call = std::move(call), respond](absl::StatusOr<OrderApi::Answer> given) mutable {
        if (!given.ok()) {
          call->Finish(given.status());
          return;
        }
        Fill(*given->order, call->response());
        respond(*call, *given);
      });
  kept.OnCancelled([weak = std::weak_ptr(answer)] {
    if (auto waiting = weak.lock()) waiting->Abandon();
  });
  return answer;
}

void Create(OrderApi& api, CreateCall::Ptr call) {
  const bool accepted = call->request().wait() == pb::CreateOrderRequest::UNTIL_ACCEPTED;
  absl::StatusOr<domain::Order> order = TakeCreate(call->request(), call->caller()->client);
  if (!order.ok()) {
    call->Finish(order.status());
    return;
  }
  OrderApi::Trace trace;
  if (call->trace().valid()) trace = {call->trace().Traceparent(), call->trace().state};
  const SteadyTime deadline = call->deadline();
  OrderApi::Pending answer = Expect<CreateCall>(api, std::move(call), [](CreateCall& done, OrderApi::Answer& given) {
    if (given.replayed) done.AddInitialMetadata("idempotency-replayed", "true");
    WAYBILL_FAILPOINT("create.before_answer");
    done.Finish(absl::OkStatus());
    WAYBILL_FAILPOINT("create.after_answer");
  });
  api.Create(*std::move(order), accepted ? OrderApi::Wait::kUntilAccepted : OrderApi::Wait::kUntilSettled, deadline,
             std::move(trace), std::move(answer));
}

void Get(OrderApi& api, GetCall::Ptr call) {
  absl::StatusOr<Uuid> id = TakeId(call->request().order_id(), "order_id");
  if (!id.ok()) {
    call->Finish(id.status());
    return;
  }
  storage::Owner owner = OwnerFor(*call->caller());
  api.Get(*id, std::move(owner), [call = std::move(call)](absl::StatusOr<OrderApi::Story> story) mutable {
    if (!story.ok()) {
      call->Finish(story.status());
      return;
    }
    Fill(story->order, call->response());
    for (const Transition& transition : story->transitions) Fill(transition, *call->response().add_transitions());
    call->Finish(absl::OkStatus());
  });
}

void List(OrderApi& api, ListCall::Ptr call) {
  std::string filter = FilterOf(call->request());
  absl::StatusOr<storage::OrderQuery> query = TakeQuery(call->request());
  if (!query.ok()) {
    call->Finish(query.status());
    return;
  }
  const size_t size = static_cast<size_t>(query->limit);
  query->owner = OwnerFor(*call->caller());
  ++query->limit;  // one more says whether there is another page
  api.List(*std::move(query), [call = std::move(call), filter = std::move(filter),
                               size](absl::StatusOr<std::vector<storage::OrderRecord>> orders) mutable {
    if (!orders.ok()) {
      call->Finish(orders.status());
      return;
    }
    pb::ListOrdersResponse& response = call->response();
    if (orders->size() > size) {
      orders->resize(size);
      response.set_next_page_token(MakePageToken(orders->back().id, filter));
    }
    for (const storage::OrderRecord& order : *orders) Fill(order, *response.add_orders());
    call->Finish(absl::OkStatus());
  });
}

// One message after the other, as fast as the client takes them.
class GrpcWatchSink final : public WatchSink {
 public:
  explicit GrpcWatchSink(WatchCall::Ptr call) : call_(std::move(call)), heartbeats_(call_->request().heartbeats()) {}

  void Send(std::vector<Transition> batch, absl::AnyInvocable<void(bool)> sent) override {
    if (batch.empty() && heartbeats_) {
      call_->Write(pb::OrderTransition(), std::move(sent));
      return;
    }
    batch_ = std::move(batch);
    next_ = 0;
    sent_ = std::move(sent);
    WriteNext(true);
  }
  void End(const absl::Status& status) override { call_->Finish(status); }

 private:
  void WriteNext(bool ok) {
    if (!ok || next_ == batch_.size()) {
      auto sent = std::move(sent_);
      sent(ok);  // may be the end of this object
      return;
    }
    pb::OrderTransition message;
    Fill(batch_[next_++], message);
    call_->Write(message, [this](bool written) { WriteNext(written); });
  }

  WatchCall::Ptr call_;
  const bool heartbeats_;
  std::vector<Transition> batch_;
  size_t next_ = 0;
  absl::AnyInvocable<void(bool)> sent_;
};

void Watch(OrderWatches& watches, WatchCall::Ptr call) {
  absl::StatusOr<Uuid> id = TakeId(call->request().order_id(), "order_id");
  if (!id.ok()) {
    call->Finish(id.status());
    return;
  }
  const int64_t from = call->request().from_sequence();
  if (from < 0) {
    call->Finish(domain::BadField("from_sequence", "is negative"));
    return;
  }
  // The watch owns the call, and cancelling it must reach the watch, which is not there yet.
  struct Bridge {
    std::mutex mutex;
    bool cancelled = false;
    std::weak_ptr<OrderWatches::Watch> watch;
  };
  auto bridge = std::make_shared<Bridge>();
  storage::Owner owner = OwnerFor(*call->caller());
  call->Open();
  call->OnCancelled([&watches, bridge] {
    std::shared_ptr<OrderWatches::Watch> watch;
    {
      std::lock_guard lock(bridge->mutex);
      bridge->cancelled = true;
      watch = bridge->watch.lock();
    }
    if (watch) watches.Remove(watch);
  });
  const bool refunds = call->request().refunds();
  std::shared_ptr<OrderWatches::Watch> watch =
      watches.Add(*id, std::move(owner), from, std::make_unique<GrpcWatchSink>(std::move(call)), refunds);
  bool cancelled;
  {
    std::lock_guard lock(bridge->mutex);
    bridge->watch = watch;
    cancelled = bridge->cancelled;
  }
  if (cancelled) watches.Remove(watch);
}

void Cancel(OrderApi& api, CancelCall::Ptr call) {
  absl::StatusOr<Uuid> id = TakeId(call->request().order_id(), "order_id");
  Violations violations;
  CheckText(call->request().reason(), 0, kReasonMax, "reason", violations);
  absl::Status wrong = id.ok() ? std::move(violations).ToStatus() : id.status();
  if (!wrong.ok()) {
    call->Finish(wrong);
    return;
  }
  const SteadyTime deadline = call->deadline();
  storage::Owner owner = OwnerFor(*call->caller());
  domain::Actor by = access::ActorOf(*call->caller());
  std::string reason = std::move(*call->request().mutable_reason());
  OrderApi::Pending answer = Expect<CancelCall>(api, std::move(call), [](CancelCall& done, OrderApi::Answer&) {
    WAYBILL_FAILPOINT("cancel.before_answer");
    done.Finish(absl::OkStatus());
  });
  api.Cancel(*id, std::move(owner), std::move(by), std::move(reason), deadline, std::move(answer));
}

void Refund(RefundApi& api, RefundCall::Ptr call) {
  pb::RefundOrderRequest& asked = call->request();
  absl::StatusOr<RefundRequest> request =
      TakeRefundOrder(asked.order_id(), {{}, asked.refund_id(), asked.amount_minor(), asked.reason()});
  if (!request.ok()) {
    call->Finish(request.status());
    return;
  }
  OrderApi::Trace trace;
  if (call->trace().valid()) trace = {call->trace().Traceparent(), call->trace().state};
  const SteadyTime deadline = call->deadline();
  storage::Owner owner = OwnerFor(*call->caller());
  domain::Actor by = access::ActorOf(*call->caller());
  RefundCall& kept = *call;
  RefundApi::Pending answer =
      api.Expect([call = std::move(call)](absl::StatusOr<domain::PartialRefund> refund) mutable {
        if (refund.ok()) Fill(*refund, call->response());
        WAYBILL_FAILPOINT("refund_order.before_answer");
        call->Finish(refund.status());
      });
  kept.OnCancelled([weak = std::weak_ptr(answer)] {
    if (auto waiting = weak.lock()) waiting->Abandon();
  });
  api.Refund(*std::move(request), std::move(owner), std::move(by), std::move(trace), deadline, std::move(answer));
}

void CheckPayment(OrderApi& api, CheckPaymentCall::Ptr call) {
  absl::StatusOr<Uuid> id = TakeId(call->request().order_id(), "order_id");
  if (!id.ok()) {
    call->Finish(id.status());
    return;
  }
  storage::Owner owner = OwnerFor(*call->caller());
  domain::Actor by = access::ActorOf(*call->caller());
  OrderApi::Pending answer = Expect<CheckPaymentCall>(
      api, std::move(call), [](CheckPaymentCall& done, OrderApi::Answer&) { done.Finish(absl::OkStatus()); });
  api.CheckPayment(*id, std::move(owner), std::move(by), std::move(answer));
}

void Complete(OrderApi& api, CompleteCall::Ptr call) {
  absl::StatusOr<Uuid> id = TakeId(call->request().order_id(), "order_id");
  if (!id.ok()) {
    call->Finish(id.status());
    return;
  }
  const SteadyTime deadline = call->deadline();
  storage::Owner owner = OwnerFor(*call->caller());
  domain::Actor by = access::ActorOf(*call->caller());
  OrderApi::Pending answer = Expect<CompleteCall>(api, std::move(call), [](CompleteCall& done, OrderApi::Answer&) {
    WAYBILL_FAILPOINT("complete.before_answer");
    done.Finish(absl::OkStatus());
  });
  api.Complete(*id, std::move(owner), std::move(by), deadline, std::move(answer));
}

}  // namespace

void AddOrderService(rpc::Server& server, OrderApi& api, RefundApi& refunds, OrderWatches& watches) {
  using domain::Scope;
  rpc::MethodOptions busy;
  busy.slots = 256;
  server.Unary<pb::CreateOrderRequest, pb::Order>(
      "waybill.order.v1.OrderService/CreateOrder", Scope::kOrdersWrite,
      [&api](CreateCall::Ptr call) { Create(api, std::move(call)); }, busy);
  server.Unary<pb::GetOrderRequest, pb::Order>("waybill.order.v1.OrderService/GetOrder", Scope::kOrdersRead,
                                               [&api](GetCall::Ptr call) { Get(api, std::move(call)); });
  server.Unary<pb::ListOrdersRequest, pb::ListOrdersResponse>(
      "waybill.order.v1.OrderService/ListOrders", Scope::kOrdersRead,
      [&api](ListCall::Ptr call) { List(api, std::move(call)); });
  server.ServerStream<pb::WatchOrderRequest, pb::OrderTransition>(
      "waybill.order.v1.OrderService/WatchOrder", Scope::kOrdersRead,
      [&watches](WatchCall::Ptr call) { Watch(watches, std::move(call)); });
  server.Unary<pb::CancelOrderRequest, pb::Order>("waybill.order.v1.OrderService/CancelOrder", Scope::kOrdersWrite,
                                                  [&api](CancelCall::Ptr call) { Cancel(api, std::move(call)); });
  server.Unary<pb::RefundOrderRequest, pb::Refund>(
      "waybill.order.v1.OrderService/RefundOrder", Scope::kOrdersWrite,
      [&refunds](RefundCall::Ptr call) { Refund(refunds, std::move(call)); });
  server.Unary<pb::CheckPaymentRequest, pb::Order>(
      "waybill.order.v1.OrderService/CheckPayment", Scope::kOrdersWrite,
      [&api](CheckPaymentCall::Ptr call) { CheckPayment(api, std::move(call)); });
  server.Unary<pb::CompleteOrderRequest, pb::Order>("waybill.order.v1.OrderService/CompleteOrder", Scope::kOrdersWrite,
                                                    [&api](CompleteCall::Ptr call) { Complete(api, std::move(call)); });
}

}  // namespace waybill::order
