#include "services/order/payment_api.h"

#include <algorithm>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "services/order/differing.h"
#include "storage/order_store.h"

namespace waybill::order {
namespace {

using domain::Payment;
using storage::PaymentRecord;

void Replay(PaymentRecord existing, const Payment& repeated, const PaymentApi::Pending& answer) {
  Differing differing;
  differing.If(existing.payload.amount_minor != repeated.amount_minor, "amount.minor_units")
      .If(existing.payload.currency != repeated.currency, "amount.currency")
      // What was kept without them, perhaps by a replica of before, is the same payment.
      .If(!existing.payload.user_id.empty() && existing.payload.user_id != repeated.user_id, "user_id")
      .If(existing.payload.payer && existing.payload.payer != repeated.payer, "payer");
  if (differing.empty()) {
    answer->Give(PaymentApi::Answer{std::move(existing), /*replayed=*/true});
    return;
  }
  answer->Give(domain::ReasonError(
      "PAYMENT_ID_REUSED", fmt::format("the client has another payment of this id: {} differs", differing.fields()),
      {.metadata = {{"payment_id", repeated.idempotency_key}, {"fields", differing.fields()}}}));
}

absl::Status NoGateway(const Payment& payment, const PaymentRouting* routing) {
  return domain::ReasonError("NO_PAYMENT_GATEWAY",
                             routing == nullptr
                                 ? std::string("this service has no --gateways-file")
                                 : fmt::format("no gateway takes {} {} from this client, or all that do are drained",
                                               payment.amount_minor, payment.currency));
}

}  // namespace

absl::StatusOr<std::string> TakePaymentId(std::string_view payment_id) {
  const std::optional<Uuid> id = Uuid::Parse(payment_id);
  if (!id) return domain::BadField("payment_id", "is not a UUID");
  return id->ToString();
}

absl::StatusOr<Payment> TakeNewPayment(std::string_view client, std::string_view payment_id,
                                       std::optional<Money> amount, std::string user_id,
                                       std::optional<domain::Payer> payer) {
  Violations violations;
  const std::optional<Uuid> id = Uuid::Parse(payment_id);
  if (!id) violations.Add("payment_id", "is not a UUID");
  if (!client.empty()) CheckVisibleAscii(client, kClientMax, "waybill-client", violations);
  CheckAmount(amount, violations);
  if (!user_id.empty()) CheckUserId(user_id, violations);
  if (payer) CheckPayer(*payer, violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  Payment payment;
  payment.client = ClientNamed(client);
  payment.idempotency_key = id->ToString();
  payment.amount_minor = amount->minor_units;
  payment.currency = std::move(amount->currency);
  payment.user_id = std::move(user_id);
  payment.payer = KeptPayer(std::move(payer));
  return payment;
}

PaymentStatus StatusOfPayment(const saga::Header& header) {
  switch (header.state) {
    case saga::State::kRunning:
      if (storage::IsInReview(header)) return PaymentStatus::kAwaitingReview;
      return header.waits_for.empty() ? PaymentStatus::kPending : PaymentStatus::kAwaitingPayer;
    case saga::State::kSucceeded:
    case saga::State::kClosing:
    case saga::State::kClosed:
      return PaymentStatus::kPaid;
    case saga::State::kCompensating:
      return PaymentStatus::kTurningBack;
    case saga::State::kCompensated:
      return PaymentStatus::kFailed;
    case saga::State::kResolved:
      return PaymentStatus::kResolved;
  }
  return PaymentStatus::kPending;
}

void PaymentApi::Take(Payment payment, OrderApi::Trace trace, SteadyTime deadline, Pending answer) {
  if (draining_) {
    answer->Give(domain::ReasonError("SHUTTING_DOWN", "this process is draining"));
    return;
  }
  const SteadyTime until = std::min(deadline - options_.answer_margin, clock_.Steady() + options_.wait_max);
  BoundWait(answer, until, "payment");
  if (absl::Status ended = CheckTender(payment, clock_.Now()); !ended.ok()) {
    RepeatOnly(std::move(payment), std::move(ended), std::move(answer));
    return;
  }
  if (routing_ != nullptr) routing_->Begin(payment);
  if (payment.attempts.empty()) {
    absl::Status refusal = NoGateway(payment, routing_);
    RepeatOnly(std::move(payment), std::move(refusal), std::move(answer));
    return;
  }
  Begin(std::move(payment), std::move(trace), std::move(answer));
}

void PaymentApi::Begin(Payment payment, OrderApi::Trace trace, Pending answer) {
  if (runner_.room() <= options_.room_kept) {
    routing_->Drop(payment);
    RepeatOnly(std::move(payment), domain::QueueFull("too many payments are not decided yet", absl::Seconds(1)),
               std::move(answer));
    return;
  }
  ++undecided_;
  auto fresh = std::make_unique<PaymentRecord>();
  fresh->id = ids_.Next();
  fresh->created_at = fresh->updated_at = clock_.Now();
  fresh->traceparent = std::move(trace.parent);
  fresh->tracestate = std::move(trace.state);
  fresh->payload = std::move(payment);
  PaymentRecord begun = *fresh;
  runner_.Start(
      std::move(fresh),
      [this, answer, begun = std::move(begun)](absl::StatusOr<std::unique_ptr<saga::Record>> existing) mutable {
        if (existing.ok() && *existing == nullptr) {
          answer->Give(Answer{std::move(begun)});
          return;
        }
        --undecided_;
        routing_->Drop(begun.payload);
        if (!existing.ok()) {
          answer->Give(existing.status());
        } else {
          Replay(std::move(saga::As<Payment>(**existing)), begun.payload, answer);
        }
      },
      [this](absl::StatusOr<const saga::Record*>) { --undecided_; });
}

void PaymentApi::RepeatOnly(Payment payment, absl::Status otherwise, Pending answer) {
  Executor::Task look = [this, payment = std::move(payment), otherwise = std::move(otherwise), answer]() mutable {
    absl::StatusOr<PaymentRecord> existing = store_.Find(payment.client, payment.idempotency_key);
    if (existing.ok()) {
      Replay(*std::move(existing), payment, answer);
    } else {
      answer->Give(absl::IsNotFound(existing.status()) ? otherwise : existing.status());
    }
  };
  if (!workers_.Submit(look)) answer->Give(domain::TooBusy());
}

void PaymentApi::Get(const std::string& client, const std::string& payment_id,
                     absl::AnyInvocable<void(absl::StatusOr<PaymentRecord>)> done) {
  auto shared = std::make_shared<decltype(done)>(std::move(done));
  Executor::Task look = [this, client, payment_id, shared] { (*shared)(store_.Find(client, payment_id)); };
  if (!workers_.Submit(look)) (*shared)(domain::TooBusy());
}

}  // namespace waybill::order
