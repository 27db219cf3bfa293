#include "services/order/remote_gateway.h"

#include <optional>
#include <utility>

#include "domain/currency.h"
#include "edge/rpc/proto_time.h"
#include "grpc/health/v1/health.pb.h"
#include "runtime/status.h"
#include "services/order/remote_call.h"
#include "waybill/payment/v1/payment.pb.h"

namespace waybill::order {

namespace payment_pb = waybill::payment::v1;

rpc::CallOptions RemoteGateway::OptionsFor(const ParticipantCall& call) const {
  rpc::CallOptions options = OptionsOf(call);
  options.only_connected = only_connected_;
  return options;
}

void RemoteGateway::Charge(const ParticipantCall& call, const domain::Order& order,
                           absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) {
  Ask("waybill.payment.v1.PaymentGateway/Charge", call, order, std::move(done));
}

void RemoteGateway::Authorize(const ParticipantCall& call, const domain::Order& order,
                              absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) {
  Ask("waybill.payment.v1.PaymentGateway/Authorize", call, order, std::move(done));
}

void RemoteGateway::Ask(const std::string& method, const ParticipantCall& call, const domain::Order& order,
                        absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) {
  payment_pb::ChargeRequest request;
  request.set_idempotency_key(call.key);
  request.set_order_id(call.order_id);
  request.set_user_id(order.user_id);
  request.set_amount_minor(order.amount_minor);
  request.set_currency(order.currency);
  request.set_minor_unit_exponent(domain::CurrencyExponent(order.currency).value_or(0));
  client_.Call<payment_pb::ChargeResponse>(
      method, request, OptionsFor(call),
      [done = std::move(done)](const absl::Status& status, payment_pb::ChargeResponse& response) mutable {
        if (!status.ok()) {
          done(Unheard(status));
        } else if (response.has_approved()) {
          std::optional<absl::Time> expires;
          if (response.approved().has_expires()) expires = rpc::TakeTime(response.approved().expires());
          done(ChargeResult::Approve(std::move(*response.mutable_approved()->mutable_reference()), expires));
        } else if (response.has_declined()) {
          done(ChargeResult::Decline(std::move(*response.mutable_declined()->mutable_reason()),
                                     response.declined().retryable()));
        } else if (response.has_pending()) {
          const payment_pb::ChargeResponse::Pending& pending = response.pending();
          std::optional<absl::Time> until;
          if (pending.has_until()) until = rpc::TakeTime(pending.until());
          std::optional<absl::Time> expires;
          if (pending.has_expires()) expires = rpc::TakeTime(pending.expires());
          done(ChargeResult::Postpone(std::move(*response.mutable_pending()->mutable_token()),
                                      until.value_or(absl::InfiniteFuture()),
                                      std::move(*response.mutable_pending()->mutable_checkout_url()), expires));
        } else {
          done(absl::UnknownError("the gateway's answer has no outcome"));
        }
      });
}

void RemoteGateway::Capture(const ParticipantCall& call, const domain::Order& order,
                            absl::AnyInvocable<void(absl::StatusOr<CaptureResult>)> done) {
  payment_pb::CaptureRequest request;
  request.set_idempotency_key(call.key);
  request.set_order_id(call.order_id);
  request.set_amount_minor(order.amount_minor);
  request.set_currency(order.currency);
  client_.Call<payment_pb::CaptureResponse>(
      "waybill.payment.v1.PaymentGateway/Capture", request, OptionsFor(call),
      [done = std::move(done)](const absl::Status& status, payment_pb::CaptureResponse& response) mutable {
        if (!status.ok()) {
          done(Unheard(status));
        } else if (response.has_captured()) {
          done(CaptureResult::Done(std::move(*response.mutable_captured()->mutable_reference())));
        } else if (response.has_refused()) {
          done(CaptureResult::Refuse(std::move(*response.mutable_refused()->mutable_reason())));
        } else {
          done(absl::UnknownError("the gateway's answer has no outcome"));
        }
      });
}

void RemoteGateway::Refund(const ParticipantCall& call, const domain::Order&,
                           absl::AnyInvocable<void(absl::StatusOr<RefundResult>)> done) {
  payment_pb::RefundRequest request;
  request.set_idempotency_key(call.key);
  request.set_order_id(call.order_id);
  client_.Call<payment_pb::RefundResponse>(
      "waybill.payment.v1.PaymentGateway/Refund", request, OptionsFor(call),
      [done = std::move(done)](const absl::Status& status, payment_pb::RefundResponse& response) mutable {
        if (!status.ok()) {
          done(Unheard(status));
          return;
        }
        done(RefundResult{response.refunded_minor(), std::move(*response.mutable_reference()),
                          std::move(*response.mutable_charge_reference())});
      });
}

void RemoteGateway::RefundPart(const ParticipantCall& call, const ChargePart& part,
                               absl::AnyInvocable<void(absl::StatusOr<RefundPartResult>)> done) {
  payment_pb::RefundPartRequest request;
  request.set_idempotency_key(call.key);
  request.set_order_id(call.order_id);
  request.set_refund_id(part.refund_id);
  request.set_amount_minor(part.amount_minor);
  request.set_currency(part.currency);
  client_.Call<payment_pb::RefundPartResponse>(
      "waybill.payment.v1.PaymentGateway/RefundPart", request, OptionsFor(call),
      [done = std::move(done)](const absl::Status& status, payment_pb::RefundPartResponse& response) mutable {
        if (!status.ok()) {
          done(Unheard(status));
        } else if (response.has_refunded()) {
          done(RefundPartResult::Done(std::move(*response.mutable_refunded()->mutable_reference())));
        } else if (response.has_refused()) {
          done(RefundPartResult::Refuse(std::move(*response.mutable_refused()->mutable_reason())));
        } else {
          done(absl::UnknownError("the gateway's answer has no outcome"));
        }
      });
}

void RemoteGateway::Health(absl::Duration timeout, absl::AnyInvocable<void(HealthAnswer)> done) {
  rpc::CallOptions options;
  options.deadline = SystemClock().Steady() + timeout;
  options.only_connected = true;
  client_.Call<grpc::health::v1::HealthCheckResponse>(
      "grpc.health.v1.Health/Check", grpc::health::v1::HealthCheckRequest(), options,
      [done = std::move(done)](const absl::Status& status, grpc::health::v1::HealthCheckResponse& response) mutable {
        using storage::ProbeOutcome;
        HealthAnswer said;  // unless it says more: no answer
        if (status.ok()) {
          if (response.status() == grpc::health::v1::HealthCheckResponse::SERVING) {
            said.answer.outcome = ProbeOutcome::kHealthy;
          } else if (response.status() == grpc::health::v1::HealthCheckResponse::NOT_SERVING) {
            said.answer.outcome = ProbeOutcome::kFailing;
          }
        } else if (absl::IsResourceExhausted(status)) {
          said.answer.outcome = ProbeOutcome::kLimited;
          said.retry_after = GetErrorDetail(status).retry_after;
        } else if (absl::IsUnimplemented(status) || absl::IsNotFound(status) || absl::IsUnauthenticated(status) ||
                   absl::IsPermissionDenied(status)) {
          said.answer.outcome = ProbeOutcome::kNotServed;
        }
        done(said);
      });
}

}  // namespace waybill::order
