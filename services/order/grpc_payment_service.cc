#include "services/order/grpc_payment_service.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "edge/rpc/proto_time.h"
#include "runtime/failpoint.h"
#include "services/order/requests.h"
#include "waybill/payments/v1/payments.pb.h"

namespace waybill::order {
namespace {

namespace payments_pb = waybill::payments::v1;
using TakePaymentCall = rpc::UnaryCall<payments_pb::TakePaymentRequest, payments_pb::Payment>;
using GetPaymentCall = rpc::UnaryCall<payments_pb::GetPaymentRequest, payments_pb::Payment>;

void Fill(const storage::PaymentRecord& record, payments_pb::Payment& out) {
  const domain::Payment& payment = record.payload;
  const PaymentStatus status = StatusOfPayment(record);
  out.set_payment_id(payment.idempotency_key);
  out.mutable_amount()->set_minor_units(payment.amount_minor);
  out.mutable_amount()->set_currency(payment.currency);
  out.set_status(static_cast<payments_pb::PaymentStatus>(status));
  if (!record.failure.reason.empty()) {
    out.mutable_failure()->set_reason(record.failure.reason);
    out.mutable_failure()->set_detail(record.failure.detail);
  }
  if (!payment.attempts.empty()) out.set_gateway(payment.attempts.back().gateway);
  if (payment.charge) {
    out.set_gateway_reference(payment.charge->gateway_reference);
    rpc::SetTime(payment.charge->at, *out.mutable_charge_time());
  }
  if (status == PaymentStatus::kAwaitingPayer && payment.pending) {
    out.mutable_checkout()->set_url(payment.pending->checkout_url);
    if (payment.pending->expires)
      rpc::SetTime(*payment.pending->expires, *out.mutable_checkout()->mutable_expire_time());
  }
  out.set_saga_id(record.id.ToString());
  rpc::SetTime(record.created_at, *out.mutable_create_time());
}

void Take(PaymentApi& api, TakePaymentCall::Ptr call) {
  payments_pb::TakePaymentRequest& asked = call->request();
  std::optional<Money> amount;
  if (asked.has_amount()) {
    amount = {asked.amount().minor_units(), std::move(*asked.mutable_amount()->mutable_currency())};
  }
  Violations violations;
  std::optional<domain::Payer> payer;
  if (asked.has_payer()) payer = TakePayer(*asked.mutable_payer(), violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) {
    call->Finish(wrong);
    return;
  }
  absl::StatusOr<domain::Payment> payment =
      TakeNewPayment(call->caller()->client, asked.payment_id(), std::move(amount), std::move(*asked.mutable_user_id()),
                     std::move(payer));
  if (!payment.ok()) {
    call->Finish(payment.status());
    return;
  }
  OrderApi::Trace trace;
  if (call->trace().valid()) trace = {call->trace().Traceparent(), call->trace().state};
  const SteadyTime deadline = call->deadline();
  TakePaymentCall& kept = *call;
  PaymentApi::Pending answer = api.Expect([call = std::move(call)](absl::StatusOr<PaymentApi::Answer> given) mutable {
    if (given.ok()) {
      Fill(given->payment, call->response());
      if (given->replayed) call->AddInitialMetadata("idempotency-replayed", "true");
    }
    WAYBILL_FAILPOINT("take_payment.before_answer");
    call->Finish(given.status());
  });
  kept.OnCancelled([weak = std::weak_ptr(answer)] {
    if (auto waiting = weak.lock()) waiting->Abandon();
  });
  api.Take(*std::move(payment), std::move(trace), deadline, std::move(answer));
}

void Get(PaymentApi& api, GetPaymentCall::Ptr call) {
  absl::StatusOr<std::string> id = TakePaymentId(call->request().payment_id());
  if (!id.ok()) {
    call->Finish(id.status());
    return;
  }
  const std::string client(ClientNamed(call->caller()->client));
  api.Get(client, *id, [call = std::move(call)](absl::StatusOr<storage::PaymentRecord> payment) mutable {
    if (payment.ok()) Fill(*payment, call->response());
    call->Finish(payment.status());
  });
}

}  // namespace

void AddPaymentService(rpc::Server& server, PaymentApi& api) {
  using domain::Scope;
  rpc::MethodOptions busy;
  busy.slots = 256;
  server.Unary<payments_pb::TakePaymentRequest, payments_pb::Payment>(
      "waybill.payments.v1.PaymentService/TakePayment", Scope::kOrdersWrite,
      [&api](TakePaymentCall::Ptr call) { Take(api, std::move(call)); }, busy);
  server.Unary<payments_pb::GetPaymentRequest, payments_pb::Payment>(
      "waybill.payments.v1.PaymentService/GetPayment", Scope::kOrdersRead,
      [&api](GetPaymentCall::Ptr call) { Get(api, std::move(call)); });
}

}  // namespace waybill::order
