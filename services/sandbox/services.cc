#include "services/sandbox/services.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "domain/reasons.h"
#include "edge/rpc/call.h"
#include "fmt/format.h"
#include "services/sandbox/settlement.h"
#include "waybill/dispatch/v1/dispatch.pb.h"
#include "waybill/payment/v1/payment.pb.h"
#include "waybill/payout/v1/payout.pb.h"
#include "waybill/sandbox/v1/sandbox.pb.h"

namespace waybill::sandbox {
namespace {

namespace payment_pb = waybill::payment::v1;
namespace payout_pb = waybill::payout::v1;
namespace dispatch_pb = waybill::dispatch::v1;
namespace sandbox_pb = waybill::sandbox::v1;

template <typename Req, typename Resp>
class RpcCaller final : public Caller {
 public:
  explicit RpcCaller(typename rpc::UnaryCall<Req, Resp>::Ptr call) : call_(std::move(call)) {}
  void Answer(const absl::Status& status) override { call_->Finish(status); }
  void OnGone(absl::AnyInvocable<void()> callback) override { call_->OnCancelled(std::move(callback)); }

 private:
  const typename rpc::UnaryCall<Req, Resp>::Ptr call_;
};

// Registers "service/method"; `execute(books, request, response, fresh, now, effect)` is its meaning, and
// `decline(response)` fills in a response that declines; null: it cannot be declined.
template <typename Req, typename Resp, typename Execute>
void Register(rpc::Server& server, Sandbox& sandbox, Target target, const std::string& service,
              const std::string& method, Execute execute, void (*decline)(Resp&) = nullptr) {
  server.Unary<Req, Resp>(service + "/" + method, access::kAnybody,
                          [&sandbox, target, method, execute, decline](typename rpc::UnaryCall<Req, Resp>::Ptr owned) {
                            auto* call = owned.get();
                            Sandbox::Call asked;
                            // What only looks changes nothing under its key.
                            if (!method.starts_with("Get")) asked.key = call->request().idempotency_key();
                            asked.execute = [call, execute](Books& books, const Verdict& fresh, absl::Time now,
                                                            std::optional<Record>& effect) {
                              return execute(books, call->request(), call->response(), fresh, now, effect);
                            };
                            if (decline != nullptr) asked.decline = [call, decline] { decline(call->response()); };
                            sandbox.Serve(target, method, std::make_unique<RpcCaller<Req, Resp>>(std::move(owned)),
                                          std::move(asked));
                          });
}

void SetTime(absl::Time time, google::protobuf::Timestamp& to) {
  int64_t micros = absl::ToUnixMicros(time);
  to.set_seconds(micros / 1'000'000);
  to.set_nanos(static_cast<int32_t>(micros % 1'000'000 * 1000));
}

payment_pb::Payment::State ToWire(Payment::State state) {
  switch (state) {
    case Payment::State::kCharged:
      return payment_pb::Payment::CHARGED;
    case Payment::State::kDeclined:
      return payment_pb::Payment::DECLINED;
    case Payment::State::kRefunded:
      return payment_pb::Payment::REFUNDED;
    case Payment::State::kClosed:
      return payment_pb::Payment::CLOSED;
    case Payment::State::kPending:
      return payment_pb::Payment::PENDING;
    case Payment::State::kAuthorized:
      return payment_pb::Payment::AUTHORIZED;
  }
  return payment_pb::Payment::STATE_UNSPECIFIED;
}

}  // namespace

void RegisterGateway(rpc::Server& server, Sandbox& sandbox) {
  const std::string service = "waybill.payment.v1.PaymentGateway";
  for (const bool hold : {false, true}) {
    Register<payment_pb::ChargeRequest, payment_pb::ChargeResponse>(
        server, sandbox, Target::kGateway, service, hold ? "Authorize" : "Charge",
        [&sandbox, hold](Books& books, const payment_pb::ChargeRequest& request, payment_pb::ChargeResponse& response,
                         const Verdict& fresh, absl::Time now, std::optional<Record>& effect) -> absl::Status {
          const Charge charge{request.idempotency_key(), request.order_id(), request.amount_minor(), request.currency(),
                              hold};
          auto answer = books.Charge(charge, fresh, now, effect);
          if (!answer.ok()) return answer.status();
          switch (answer->kind) {
            case ChargeAnswer::Kind::kApproved:
              response.mutable_approved()->set_reference(answer->reference);
              if (answer->expires) SetTime(*answer->expires, *response.mutable_approved()->mutable_expires());
              break;
            case ChargeAnswer::Kind::kDeclined:
              response.mutable_declined()->set_reason(answer->reason);
              break;
            case ChargeAnswer::Kind::kPending:
              response.mutable_pending()->set_token(answer->token);
              SetTime(answer->until, *response.mutable_pending()->mutable_until());
              if (!sandbox.options().checkout_url.empty()) {
                response.mutable_pending()->set_checkout_url(sandbox.options().checkout_url + answer->token);
              }
              if (answer->expires) SetTime(*answer->expires, *response.mutable_pending()->mutable_expires());
              break;
          }
          return absl::OkStatus();
        },
        [](payment_pb::ChargeResponse& response) { response.mutable_declined()->set_reason("INSUFFICIENT_FUNDS"); });
  }
  Register<payment_pb::CaptureRequest, payment_pb::CaptureResponse>(
      server, sandbox, Target::kGateway, service, "Capture",
      [](Books& books, const payment_pb::CaptureRequest& request, payment_pb::CaptureResponse& response, const Verdict&,
         absl::Time now, std::optional<Record>& effect) -> absl::Status {
        const Charge capture{request.idempotency_key(), request.order_id(), request.amount_minor(), request.currency()};
        auto answer = books.Capture(capture, now, effect);
        if (!answer.ok()) return answer.status();
        if (answer->reason.empty()) {
          response.mutable_captured()->set_reference(answer->reference);
        } else {
          response.mutable_refused()->set_reason(answer->reason);
        }
        return absl::OkStatus();
      });
  Register<payment_pb::RefundRequest, payment_pb::RefundResponse>(
      server, sandbox, Target::kGateway, service, "Refund",
      [](Books& books, const payment_pb::RefundRequest& request, payment_pb::RefundResponse& response, const Verdict&,
         absl::Time now, std::optional<Record>& effect) -> absl::Status {
        auto answer = books.Refund(request.idempotency_key(), request.order_id(), now, effect);
        if (!answer.ok()) return answer.status();
        response.set_refunded_minor(answer->refunded_minor);
        response.set_reference(answer->reference);
        response.set_charge_reference(answer->charge_reference);
        return absl::OkStatus();
      });
  Register<payment_pb::RefundPartRequest, payment_pb::RefundPartResponse>(
      server, sandbox, Target::kGateway, service, "RefundPart",
      [](Books& books, const payment_pb::RefundPartRequest& request, payment_pb::RefundPartResponse& response,
         const Verdict&, absl::Time now, std::optional<Record>& effect) -> absl::Status {
        const PartToRefund part{request.idempotency_key(), request.order_id(), request.refund_id(),
                                request.amount_minor(), request.currency()};
        auto answer = books.RefundPart(part, now, effect);
        if (!answer.ok()) return answer.status();
        if (answer->reason.empty()) {
          response.mutable_refunded()->set_reference(answer->reference);
        } else {
          response.mutable_refused()->set_reason(answer->reason);
        }
        return absl::OkStatus();
      });
  Register<payment_pb::GetPaymentRequest, payment_pb::Payment>(
      server, sandbox, Target::kGateway, service, "GetPayment",
      [](Books& books, const payment_pb::GetPaymentRequest& request, payment_pb::Payment& response, const Verdict&,
         absl::Time, std::optional<Record>&) -> absl::Status {
        const Payment* payment = books.FindPayment(request.idempotency_key());
        if (payment == nullptr) return absl::NotFoundError("no call ever carried this key");
        response.set_idempotency_key(request.idempotency_key());
        response.set_state(ToWire(payment->state));
        response.set_charged_minor(payment->charged_minor);
        response.set_refunded_minor(payment->refunded_minor);
        response.set_currency(payment->currency);
        response.set_reference(payment->reference);
        response.set_authorized_minor(payment->held_minor);
        if (payment->held_minor > 0) SetTime(payment->held_until, *response.mutable_expires());
        SetTime(payment->time, *response.mutable_time());
        return absl::OkStatus();
      });
}

void RegisterPayouts(rpc::Server& server, Sandbox& sandbox) {
  const std::string service = "waybill.payout.v1.PayoutGateway";
  Register<payout_pb::PayRequest, payout_pb::PayResponse>(
      server, sandbox, Target::kPayouts, service, "Pay",
      [](Books& books, const payout_pb::PayRequest& request, payout_pb::PayResponse& response, const Verdict& fresh,
         absl::Time now, std::optional<Record>& effect) -> absl::Status {
        const PayoutOrder order{request.idempotency_key(), request.payout_id(), request.destination(),
                                request.amount_minor(), request.currency()};
        absl::StatusOr<Payout> payout = books.Pay(order, fresh, now, effect);
        if (!payout.ok()) return payout.status();
        switch (payout->state) {
          case Payout::State::kPaid:
            response.mutable_paid()->set_reference(payout->reference);
            break;
          case Payout::State::kRefused:
            response.mutable_refused()->set_reason(payout->reason);
            break;
          case Payout::State::kPending:
            response.mutable_pending()->set_token(payout->token);
            SetTime(payout->until, *response.mutable_pending()->mutable_until());
            break;
        }
        return absl::OkStatus();
      },
      [](payout_pb::PayResponse& response) { response.mutable_refused()->set_reason("DUPLICATE"); });
  Register<payout_pb::GetPayoutRequest, payout_pb::Payout>(
      server, sandbox, Target::kPayouts, service, "GetPayout",
      [](Books& books, const payout_pb::GetPayoutRequest& request, payout_pb::Payout& response, const Verdict&,
         absl::Time, std::optional<Record>&) -> absl::Status {
        const Payout* payout = books.FindPayout(request.idempotency_key());
        if (payout == nullptr) return absl::NotFoundError("no call ever carried this key");
        const bool pending = payout->state == Payout::State::kPending;
        response.set_idempotency_key(request.idempotency_key());
        response.set_state(pending                                 ? payout_pb::Payout::PENDING
                           : payout->state == Payout::State::kPaid ? payout_pb::Payout::PAID
                                                                   : payout_pb::Payout::REFUSED);
        response.set_payout_id(payout->payout_id);
        response.set_destination(payout->destination);
        response.set_amount_minor(payout->amount_minor);
        response.set_currency(payout->currency);
        response.set_reference(payout->reference);
        response.set_reason(payout->reason);
        if (pending) response.set_token(payout->token);
        SetTime(payout->time, *response.mutable_time());
        return absl::OkStatus();
      });
}

void RegisterDispatcher(rpc::Server& server, Sandbox& sandbox) {
  const std::string service = "waybill.dispatch.v1.Dispatcher";
  Register<dispatch_pb::AssignDriverRequest, dispatch_pb::AssignDriverResponse>(
      server, sandbox, Target::kDispatcher, service, "AssignDriver",
      [](Books& books, const dispatch_pb::AssignDriverRequest& request, dispatch_pb::AssignDriverResponse& response,
         const Verdict& fresh, absl::Time now, std::optional<Record>& effect) -> absl::Status {
        const bool decline = fresh.kind == Verdict::Kind::kDecline;
        auto answer = books.Assign(request.idempotency_key(), request.order_id(), decline, now, effect);
        if (!answer.ok()) return answer.status();
        if (answer->driver_id.empty()) {
          response.mutable_none()->set_reason(answer->reason);
        } else {
          response.mutable_assigned()->set_driver_id(answer->driver_id);
        }
        return absl::OkStatus();
      },
      [](dispatch_pb::AssignDriverResponse& response) { response.mutable_none()->set_reason("NO_DRIVER_AVAILABLE"); });
  Register<dispatch_pb::ReleaseDriverRequest, dispatch_pb::ReleaseDriverResponse>(
      server, sandbox, Target::kDispatcher, service, "ReleaseDriver",
      [](Books& books, const dispatch_pb::ReleaseDriverRequest& request, dispatch_pb::ReleaseDriverResponse& response,
         const Verdict&, absl::Time now, std::optional<Record>& effect) -> absl::Status {
        auto driver = books.Release(request.idempotency_key(), request.order_id(), now, effect);
        if (!driver.ok()) return driver.status();
        response.set_driver_id(*driver);
        return absl::OkStatus();
      });
}

namespace {

Behaviour FromWire(const sandbox_pb::Behaviour& wire) {
  Behaviour behaviour;
  behaviour.unavailable_rate = wire.unavailable_rate();
  behaviour.lost_before_rate = wire.lost_before_rate();
  behaviour.lost_after_rate = wire.lost_after_rate();
  behaviour.late_rate = wire.late_rate();
  behaviour.slow_rate = wire.slow_rate();
  behaviour.repetition = static_cast<Repetition>(wire.repetition());
  behaviour.decline_rate = wire.decline_rate();
  behaviour.pending_rate = wire.pending_rate();
  behaviour.pending_for_ms = wire.pending_for_ms();
  behaviour.expires_ms = wire.expires_ms();
  behaviour.held_ms = wire.held_ms();
  behaviour.webhook_lost_rate = wire.webhook_lost_rate();
  behaviour.webhook_twice_rate = wire.webhook_twice_rate();
  behaviour.webhook_late_rate = wire.webhook_late_rate();
  behaviour.webhook_wrong_amount_rate = wire.webhook_wrong_amount_rate();
  behaviour.webhook_out_of_order_rate = wire.webhook_out_of_order_rate();
  behaviour.latency_ms_p50 = wire.latency_ms_p50();
  behaviour.latency_ms_p99 = wire.latency_ms_p99();
  behaviour.late_ms = wire.late_ms();
  behaviour.methods.assign(wire.methods().begin(), wire.methods().end());
  return behaviour;
}

void ToWire(const Behaviour& behaviour, sandbox_pb::Behaviour& wire) {
  wire.set_unavailable_rate(behaviour.unavailable_rate);
  wire.set_lost_before_rate(behaviour.lost_before_rate);
  wire.set_lost_after_rate(behaviour.lost_after_rate);
  wire.set_late_rate(behaviour.late_rate);
  wire.set_slow_rate(behaviour.slow_rate);
  wire.set_repetition(static_cast<sandbox_pb::Repetition>(behaviour.repetition));
  wire.set_decline_rate(behaviour.decline_rate);
  wire.set_pending_rate(behaviour.pending_rate);
  wire.set_pending_for_ms(behaviour.pending_for_ms);
  wire.set_expires_ms(behaviour.expires_ms);
  wire.set_held_ms(behaviour.held_ms);
  wire.set_webhook_lost_rate(behaviour.webhook_lost_rate);
  wire.set_webhook_twice_rate(behaviour.webhook_twice_rate);
  wire.set_webhook_late_rate(behaviour.webhook_late_rate);
  wire.set_webhook_wrong_amount_rate(behaviour.webhook_wrong_amount_rate);
  wire.set_webhook_out_of_order_rate(behaviour.webhook_out_of_order_rate);
  wire.set_latency_ms_p50(behaviour.latency_ms_p50);
  wire.set_latency_ms_p99(behaviour.latency_ms_p99);
  wire.set_late_ms(behaviour.late_ms);
  for (const std::string& method : behaviour.methods) wire.add_methods(method);
}

const NamedGateway* FindGateway(const NamedGateways& gateways, const std::string& name) {
  for (const std::unique_ptr<NamedGateway>& gateway : gateways) {
    if (gateway->name == name) return gateway.get();
  }
  return nullptr;
}

void ToWire(const NamedGateways& gateways, sandbox_pb::Behaviours& wire) {
  for (const std::unique_ptr<NamedGateway>& gateway : gateways) {
    const Sandbox& sandbox = *gateway->sandbox;
    if (gateway->name.empty()) {
      ToWire(sandbox.behaviour(Target::kGateway), *wire.mutable_gateway());
      ToWire(sandbox.behaviour(Target::kDispatcher), *wire.mutable_dispatcher());
      ToWire(sandbox.behaviour(Target::kPayouts), *wire.mutable_payouts());
      continue;
    }
    sandbox_pb::Gateway& named = *wire.add_gateways();
    named.set_name(gateway->name);
    named.set_kind(sandbox.options().redirects_for ? sandbox_pb::Gateway::REDIRECT : sandbox_pb::Gateway::IMMEDIATE);
    named.set_address(fmt::format("{}:{}", gateway->host, gateway->port.load()));
    named.set_fee_ppm(gateway->fee_ppm);
    ToWire(sandbox.behaviour(Target::kGateway), *named.mutable_behaviour());
  }
}

// Of a named gateway nothing but the gateway is there.
absl::Status SetBehaviour(const NamedGateway& gateway, const sandbox_pb::SetBehaviourRequest& request) {
  Behaviour behaviour = FromWire(request.behaviour());
  switch (request.target()) {
    case sandbox_pb::GATEWAY:
      return gateway.sandbox->SetBehaviour(Target::kGateway, behaviour);
    case sandbox_pb::DISPATCHER:
      if (!gateway.name.empty()) return domain::BadField("target", "is no part of this gateway");
      return gateway.sandbox->SetBehaviour(Target::kDispatcher, behaviour);
    case sandbox_pb::PAYOUTS:
      if (!gateway.name.empty()) return domain::BadField("target", "is no part of this gateway");
      return gateway.sandbox->SetBehaviour(Target::kPayouts, behaviour);
    case sandbox_pb::TARGET_UNSPECIFIED:
      if (!gateway.name.empty()) return gateway.sandbox->SetBehaviour(Target::kGateway, behaviour);
      return gateway.sandbox->SetBehaviours(behaviour);
    default:
      return absl::InvalidArgumentError("target is unknown");
  }
}

// One entry a key; a key that several targets know (nothing forbids it) shares one.
void ToWire(const Books& books, const std::string& order_id, sandbox_pb::Books& wire) {
  std::map<std::string, sandbox_pb::Books::Entry> entries;
  for (const auto& [key, payment] : books.payments()) {
    if (!order_id.empty() && payment.order_id != order_id) continue;
    sandbox_pb::Books::Entry& entry = entries[key];
    entry.set_charged_minor(payment.charged_minor);
    entry.set_refunded_minor(payment.refunded_minor);
    entry.set_charges(payment.charges);
    entry.set_refunds(payment.refunds);
    entry.set_held_minor(payment.held_minor);
    if (payment.state == Payment::State::kPending) entry.set_pending_token(payment.token);
  }
  for (const auto& [key, assignment] : books.assignments()) {
    if (!order_id.empty() && assignment.order_id != order_id) continue;
    sandbox_pb::Books::Entry& entry = entries[key];
    if (assignment.state == Assignment::State::kAssigned) entry.set_driver_id(assignment.driver_id);
  }
  for (const auto& [key, payout] : books.payouts()) {
    if (!order_id.empty() && payout.payout_id != order_id) continue;
    sandbox_pb::Books::Entry& entry = entries[key];
    entry.set_paid_out_minor(payout.paid_minor);
    entry.set_payouts(payout.pays);
    if (payout.state == Payout::State::kPending) entry.set_pending_token(payout.token);
  }
  for (auto& [key, entry] : entries) {
    entry.set_idempotency_key(key);
    *wire.add_entries() = std::move(entry);
  }
}

absl::Status Decide(Books& books, const sandbox_pb::DecidePaymentRequest& request,
                    sandbox_pb::DecidePaymentResponse& response, absl::Time now, std::optional<Record>& effect) {
  if (request.decision() != sandbox_pb::DecidePaymentRequest::APPROVED &&
      request.decision() != sandbox_pb::DecidePaymentRequest::DECLINED) {
    return domain::BadField("decision", "is neither APPROVED nor DECLINED");
  }
  std::string key = request.idempotency_key();
  if (request.has_token()) {
    std::optional<std::string> found = books.FindKey(request.token());
    if (!found.has_value()) return absl::NotFoundError("no charge or payout was answered with that token");
    key = *std::move(found);
  }
  const bool approve = request.decision() == sandbox_pb::DecidePaymentRequest::APPROVED;
  response.set_idempotency_key(key);
  if (books.FindPayment(key) == nullptr && books.FindPayout(key) != nullptr) {
    if (absl::Status status = books.DecidePayout(key, approve, now, effect); !status.ok()) return status;
    const Payout& payout = *books.FindPayout(key);
    response.set_token(payout.token);
    response.set_order_id(payout.payout_id);
    return absl::OkStatus();
  }
  if (absl::Status status = books.Decide(key, approve, now, effect); !status.ok()) return status;
  const Payment& payment = *books.FindPayment(key);
  response.set_token(payment.token);
  response.set_order_id(payment.order_id);
  return absl::OkStatus();
}

absl::Status ChargeBack(Books& books, const sandbox_pb::ChargeBackRequest& request,
                        sandbox_pb::ChargeBackResponse& response, absl::Time now, std::optional<Record>& effect) {
  const std::string& key = request.idempotency_key();
  if (absl::Status status = books.ChargeBack(key, now, effect); !status.ok()) return status;
  const Payment& payment = *books.FindPayment(key);
  response.set_amount_minor(payment.charged_back_minor);
  response.set_currency(payment.currency);
  return absl::OkStatus();
}

constexpr size_t kSettlementLinesAtOnce = 15'000;  // below what a message may have

std::optional<PlantedDifference> FromWire(int difference) {
  switch (difference) {
    case sandbox_pb::MISSING_HERE:
      return PlantedDifference::kMissingHere;
    case sandbox_pb::MISSING_THERE:
      return PlantedDifference::kMissingThere;
    case sandbox_pb::TWICE:
      return PlantedDifference::kTwice;
    case sandbox_pb::AMOUNT:
      return PlantedDifference::kAmount;
    case sandbox_pb::CURRENCY:
      return PlantedDifference::kCurrency;
    case sandbox_pb::FEE:
      return PlantedDifference::kFee;
    default:
      return std::nullopt;
  }
}

absl::Status TakeWish(const NamedGateway& gateway, const sandbox_pb::GetSettlementRequest& request,
                      SettlementWish& wish) {
  wish.gateway = gateway.name.empty() ? "gateway" : gateway.name;
  wish.fee_ppm = gateway.fee_ppm;
  absl::StatusOr<absl::CivilDay> day = ParseSettlementDay(request.day());
  if (!day.ok()) return domain::BadField("day", std::string(day.status().message()));
  wish.day = *day;
  if (!request.zone().empty() && !absl::LoadTimeZone(request.zone(), &wish.zone)) {
    return domain::BadField("zone", "is no time zone, like Europe/Berlin");
  }
  constexpr int64_t kDayMs = 24 * 3'600'000;
  if (request.late_ms() < 0 || request.late_ms() > kDayMs) return domain::BadField("late_ms", "is not within a day");
  wish.late = absl::Milliseconds(request.late_ms());
  wish.payout_sums = request.payout_sums();
  wish.negative_refunds = request.negative_refunds();
  wish.decimal_comma = request.decimal_comma();
  if (request.payout_fee_minor() < 0) return domain::BadField("payout_fee_minor", "is negative");
  wish.payout_fee_minor = request.payout_fee_minor();
  for (const int difference : request.plant()) {
    const std::optional<PlantedDifference> planted = FromWire(difference);
    if (!planted) return domain::BadField("plant", "is none that is known");
    wish.plant.push_back(*planted);
  }
  return absl::OkStatus();
}

// The books of a day that is over stay as they are, so each part is made from the whole.
absl::Status GetSettlement(const NamedGateway& gateway, const Books& books,
                           const sandbox_pb::GetSettlementRequest& request, sandbox_pb::Settlement& response) {
  SettlementWish wish;
  if (absl::Status status = TakeWish(gateway, request, wish); !status.ok()) return status;
  size_t from = 0;
  if (!request.page_token().empty() && !absl::SimpleAtoi(request.page_token(), &from)) {
    return domain::BadField("page_token", "is none of this call's");
  }
  absl::StatusOr<SettlementLines> file = MakeSettlement(books, wish);
  if (!file.ok()) return file.status();
  const size_t to = std::min(file->lines.size(), from + kSettlementLinesAtOnce);
  for (size_t at = from; at < to; ++at) response.mutable_csv()->append(file->lines[at]);
  if (to < file->lines.size()) response.set_next_page_token(fmt::format("{}", to));
  if (from > 0) return absl::OkStatus();
  for (const SettlementLines::Planted& planted : file->planted) {
    sandbox_pb::Settlement::Planted& out = *response.add_planted();
    for (int difference = sandbox_pb::Difference_MIN; difference <= sandbox_pb::Difference_MAX; ++difference) {
      if (FromWire(difference) == planted.difference) {
        out.set_difference(static_cast<sandbox_pb::Difference>(difference));
      }
    }
    out.set_reference(planted.reference);
  }
  return absl::OkStatus();
}

// What is called for one of the gateways.
class AdminMethods {
 public:
  AdminMethods(rpc::Server& server, const NamedGateways& gateways, std::string here)
      : server_(server), gateways_(gateways), here_(std::move(here)) {}

  // `serve(gateway, call)` with the one that the request names; it owns the call.
  template <typename Req, typename Resp, typename Serve>
  void Add(const std::string& method, Serve serve) {
    server_.Unary<Req, Resp>(
        "waybill.sandbox.v1.SandboxAdmin/" + method, access::kAnybody,
        [&gateways = gateways_, here = here_, serve](typename rpc::UnaryCall<Req, Resp>::Ptr call) {
          const std::string& name = call->request().gateway().empty() ? here : call->request().gateway();
          const NamedGateway* gateway = FindGateway(gateways, name);
          if (gateway != nullptr) {
            serve(*gateway, std::move(call));
          } else {
            call->Finish(domain::BadField("gateway", "is none that is played here"));
          }
        });
  }

  // `change(books, request, response, now, effect)`, answered when it is durable.
  template <typename Req, typename Resp, typename Change>
  void AddChange(const std::string& method, Change change) {
    Add<Req, Resp>(method, [change](const NamedGateway& gateway, typename rpc::UnaryCall<Req, Resp>::Ptr owned) {
      auto* call = owned.get();
      gateway.sandbox->Decide(std::make_unique<RpcCaller<Req, Resp>>(std::move(owned)),
                              [call, change](Books& books, absl::Time now, std::optional<Record>& effect) {
                                return change(books, call->request(), call->response(), now, effect);
                              });
    });
  }

 private:
  rpc::Server& server_;
  const NamedGateways& gateways_;
  const std::string here_;
};

}  // namespace

void RegisterAdmin(rpc::Server& server, const NamedGateways& gateways, const std::string& here,
                   std::function<void()> restart) {
  const std::string service = "waybill.sandbox.v1.SandboxAdmin";
  AdminMethods methods(server, gateways, here);
  using SetCall = rpc::UnaryCall<sandbox_pb::SetBehaviourRequest, sandbox_pb::Behaviours>;
  methods.Add<sandbox_pb::SetBehaviourRequest, sandbox_pb::Behaviours>(
      "SetBehaviour", [&gateways](const NamedGateway& gateway, SetCall::Ptr call) {
        absl::Status status = SetBehaviour(gateway, call->request());
        if (status.ok()) ToWire(gateways, call->response());
        call->Finish(status);
      });
  using GetCall = rpc::UnaryCall<sandbox_pb::GetBehavioursRequest, sandbox_pb::Behaviours>;
  server.Unary<sandbox_pb::GetBehavioursRequest, sandbox_pb::Behaviours>(service + "/GetBehaviours", access::kAnybody,
                                                                         [&gateways](GetCall::Ptr call) {
                                                                           ToWire(gateways, call->response());
                                                                           call->Finish(absl::OkStatus());
                                                                         });
  using BooksCall = rpc::UnaryCall<sandbox_pb::GetBooksRequest, sandbox_pb::Books>;
  methods.Add<sandbox_pb::GetBooksRequest, sandbox_pb::Books>(
      "GetBooks", [](const NamedGateway& gateway, BooksCall::Ptr owned) {
        auto* call = owned.get();
        using BooksCaller = RpcCaller<sandbox_pb::GetBooksRequest, sandbox_pb::Books>;
        gateway.sandbox->Read(std::make_unique<BooksCaller>(std::move(owned)), [call](const Books& books) {
          ToWire(books, call->request().order_id(), call->response());
        });
      });
  methods.AddChange<sandbox_pb::DecidePaymentRequest, sandbox_pb::DecidePaymentResponse>("DecidePayment", Decide);
  methods.AddChange<sandbox_pb::ChargeBackRequest, sandbox_pb::ChargeBackResponse>("ChargeBack", ChargeBack);
  using SettlementCall = rpc::UnaryCall<sandbox_pb::GetSettlementRequest, sandbox_pb::Settlement>;
  methods.Add<sandbox_pb::GetSettlementRequest, sandbox_pb::Settlement>(
      "GetSettlement", [](const NamedGateway& gateway, SettlementCall::Ptr owned) {
        auto* call = owned.get();
        using SettlementCaller = RpcCaller<sandbox_pb::GetSettlementRequest, sandbox_pb::Settlement>;
        // Answered when all that it has seen is durable.
        gateway.sandbox->Decide(std::make_unique<SettlementCaller>(std::move(owned)),
                                [call, &gateway](Books& books, absl::Time, std::optional<Record>&) {
                                  return GetSettlement(gateway, books, call->request(), call->response());
                                });
      });
  using RestartCall = rpc::UnaryCall<sandbox_pb::RestartRequest, sandbox_pb::RestartResponse>;
  server.Unary<sandbox_pb::RestartRequest, sandbox_pb::RestartResponse>(
      service + "/Restart", access::kAnybody, [restart = std::move(restart)](RestartCall::Ptr call) {
        call->Finish(absl::OkStatus());
        restart();
      });
}

void RegisterServices(rpc::Server& server, Sandbox& sandbox, std::function<void()> restart) {
  auto alone = std::make_shared<NamedGateways>();
  alone->push_back(std::make_unique<NamedGateway>());
  alone->front()->sandbox = &sandbox;
  RegisterGateway(server, sandbox);
  RegisterDispatcher(server, sandbox);
  RegisterPayouts(server, sandbox);
  // As long as the server, since that keeps what restarts.
  RegisterAdmin(server, *alone, "", [alone, restart = std::move(restart)] { restart(); });
}

}  // namespace waybill::sandbox
