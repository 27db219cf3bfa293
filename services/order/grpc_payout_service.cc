#include "services/order/grpc_payout_service.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "edge/rpc/proto_time.h"
#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "waybill/payouts/v1/payouts.pb.h"

namespace waybill::order {
namespace {

namespace payouts_pb = waybill::payouts::v1;
using CreatePayoutCall = rpc::UnaryCall<payouts_pb::CreatePayoutRequest, payouts_pb::Payout>;
using GetPayoutCall = rpc::UnaryCall<payouts_pb::GetPayoutRequest, payouts_pb::Payout>;
using ListPayoutsCall = rpc::UnaryCall<payouts_pb::ListPayoutsRequest, payouts_pb::ListPayoutsResponse>;

void Fill(const storage::PayoutRecord& record, payouts_pb::Payout& out) {
  const domain::Payout& payout = record.payload;
  out.set_payout_id(payout.payout_id);
  out.set_account_id(payout.account);
  out.mutable_amount()->set_minor_units(payout.amount_minor);
  out.mutable_amount()->set_currency(payout.currency);
  out.set_destination(payout.destination);
  out.set_description(payout.description);
  out.set_status(static_cast<payouts_pb::PayoutStatus>(StatusOfPayout(record)));
  out.set_gateway_reference(payout.reference);
  out.set_refusal(payout.refusal);
  rpc::SetTime(payout.begun_at, *out.mutable_create_time());
  if (payout.decided_at) rpc::SetTime(*payout.decided_at, *out.mutable_decide_time());
  out.set_saga_id(record.id.ToString());
  out.set_client(payout.client);
}

void CreatePayout(PayoutApi& api, CreatePayoutCall::Ptr call) {
  payouts_pb::CreatePayoutRequest& asked = call->request();
  NewPayout wanted;
  wanted.payout_id = std::move(*asked.mutable_payout_id());
  wanted.account = std::move(*asked.mutable_account_id());
  if (asked.has_amount()) {
    wanted.amount = {asked.amount().minor_units(), std::move(*asked.mutable_amount()->mutable_currency())};
  }
  wanted.destination = std::move(*asked.mutable_destination());
  wanted.description = std::move(*asked.mutable_description());
  absl::StatusOr<domain::Payout> payout = TakeNewPayout(call->caller()->client, std::move(wanted));
  if (!payout.ok()) {
    call->Finish(payout.status());
    return;
  }
  OrderApi::Trace trace;
  if (call->trace().valid()) trace = {call->trace().Traceparent(), call->trace().state};
  const SteadyTime deadline = call->deadline();
  CreatePayoutCall& kept = *call;
  PayoutApi::Pending answer = api.Expect([call = std::move(call)](absl::StatusOr<PayoutApi::Answer> given) mutable {
    if (given.ok()) {
      Fill(given->payout, call->response());
      if (given->replayed) call->AddInitialMetadata("idempotency-replayed", "true");
    }
    WAYBILL_FAILPOINT("create_payout.before_answer");
    call->Finish(given.status());
  });
  kept.OnCancelled([weak = std::weak_ptr(answer)] {
    if (auto waiting = weak.lock()) waiting->Abandon();
  });
  api.Create(*std::move(payout), std::move(trace), deadline, std::move(answer));
}

void GetPayout(PayoutApi& api, GetPayoutCall::Ptr call) {
  absl::StatusOr<std::string> id = TakePayoutId(call->request().payout_id());
  if (!id.ok()) {
    call->Finish(id.status());
    return;
  }
  const absl::StatusOr<std::string> client =
      WhosePayout(call->caller()->client, call->caller()->SeesAllOrders(), call->request().client());
  if (!client.ok()) {
    call->Finish(client.status());
    return;
  }
  api.Get(*client, *id, [call = std::move(call)](absl::StatusOr<storage::PayoutRecord> payout) mutable {
    if (payout.ok()) Fill(*payout, call->response());
    call->Finish(payout.status());
  });
}

std::optional<domain::Payout::State> StateOf(payouts_pb::PayoutStatus status) {
  switch (status) {
    case payouts_pb::OPEN:
    case payouts_pb::PENDING:
    case payouts_pb::AWAITING_REVIEW:
      return domain::Payout::State::kOpen;
    case payouts_pb::PAID:
      return domain::Payout::State::kPaid;
    case payouts_pb::REFUSED:
      return domain::Payout::State::kRefused;
    case payouts_pb::RESOLVED:
      return domain::Payout::State::kResolved;
    default:
      return std::nullopt;
  }
}

void ListPayouts(PayoutApi& api, ListPayoutsCall::Ptr call) {
  const payouts_pb::ListPayoutsRequest& asked = call->request();
  Violations violations;
  storage::PayoutQuery query;
  if (!call->caller()->SeesAllOrders()) query.client = std::string(ClientNamed(call->caller()->client));
  query.account = asked.account_id();
  CheckText(query.account, 0, kReasonMax, "account_id", violations);
  query.state = StateOf(asked.status());
  if (!query.state && asked.status() != payouts_pb::PAYOUT_STATUS_UNSPECIFIED) {
    violations.Add("status", "is none that is known");
  }
  const int size = TakePageSize(asked.page_size(), violations);
  std::string filter = fmt::format("payouts\n{}\n{}", static_cast<int>(asked.status()), query.account);
  query.before = TakePageToken(asked.page_token(), filter, violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) {
    call->Finish(wrong);
    return;
  }
  query.limit = size + 1;  // one more says whether there is another page
  api.List(std::move(query), [call = std::move(call), filter = std::move(filter),
                              size](absl::StatusOr<std::vector<storage::PayoutRecord>> payouts) mutable {
    if (!payouts.ok()) {
      call->Finish(payouts.status());
      return;
    }
    payouts_pb::ListPayoutsResponse& response = call->response();
    if (payouts->size() > static_cast<size_t>(size)) {
      payouts->resize(static_cast<size_t>(size));
      response.set_next_page_token(MakePageToken(payouts->back().id, filter));
    }
    for (const storage::PayoutRecord& payout : *payouts) Fill(payout, *response.add_payouts());
    call->Finish(absl::OkStatus());
  });
}

}  // namespace

void AddPayoutService(rpc::Server& server, PayoutApi& api) {
  using domain::Scope;
  const std::string service = "waybill.payouts.v1.PayoutService/";
  server.Unary<payouts_pb::CreatePayoutRequest, payouts_pb::Payout>(
      service + "CreatePayout", Scope::kPayoutsWrite,
      [&api](CreatePayoutCall::Ptr call) { CreatePayout(api, std::move(call)); });
  server.Unary<payouts_pb::GetPayoutRequest, payouts_pb::Payout>(
      service + "GetPayout", Scope::kPayoutsRead, [&api](GetPayoutCall::Ptr call) { GetPayout(api, std::move(call)); });
  server.Unary<payouts_pb::ListPayoutsRequest, payouts_pb::ListPayoutsResponse>(
      service + "ListPayouts", Scope::kPayoutsRead,
      [&api](ListPayoutsCall::Ptr call) { ListPayouts(api, std::move(call)); });
}

}  // namespace waybill::order
