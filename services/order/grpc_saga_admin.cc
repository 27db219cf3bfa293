#include "services/order/grpc_saga_admin.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "edge/rpc/proto_time.h"
#include "services/order/intake.h"
#include "services/order/requests.h"
#include "waybill/ops/v1/ops.pb.h"

namespace waybill::order {
namespace {

namespace ops_pb = waybill::ops::v1;

using ListSagasCall = rpc::UnaryCall<ops_pb::ListSagasRequest, ops_pb::ListSagasResponse>;
using GetSagaCall = rpc::UnaryCall<ops_pb::GetSagaRequest, ops_pb::Saga>;
using RetrySagaCall = rpc::UnaryCall<ops_pb::RetrySagaRequest, ops_pb::Saga>;
using ResolveSagaCall = rpc::UnaryCall<ops_pb::ResolveSagaRequest, ops_pb::Saga>;

using SignalSagaCall = rpc::UnaryCall<ops_pb::SignalSagaRequest, ops_pb::SignalSagaResponse>;

ops_pb::SignalSagaResponse::Result OnTheWire(saga::SignalResult result) {
  using Response = ops_pb::SignalSagaResponse;
  switch (result) {
    case saga::SignalResult::kWoken:
      return Response::WOKEN;
    case saga::SignalResult::kKept:
      return Response::KEPT;
    case saga::SignalResult::kRepeated:
      return Response::REPEATED;
    case saga::SignalResult::kLate:
      return Response::LATE;
    case saga::SignalResult::kUnawaited:
      break;  // an error
  }
  return Response::RESULT_UNSPECIFIED;
}

class SagaAdmin {
 public:
  SagaAdmin(SagaApi& api, std::vector<std::string> steps) : api_(api), steps_(std::move(steps)) {}

  void List(ListSagasCall::Ptr call) const;
  void Get(GetSagaCall::Ptr call) const {
    absl::StatusOr<Uuid> id = TakeId(call->request().saga_id(), "saga_id");
    if (!id.ok()) {
      call->Finish(id.status());
      return;
    }
    api_.Get(*id, Answering<GetSagaCall>(std::move(call)));
  }
  void Retry(RetrySagaCall::Ptr call) const {
    absl::StatusOr<Uuid> id = TakeId(call->request().saga_id(), "saga_id");
    if (!id.ok()) {
      call->Finish(id.status());
      return;
    }
    const SteadyTime deadline = call->deadline();
    domain::Actor by = access::ActorOf(*call->caller());
    api_.Retry(*id, std::move(by), deadline, Answering<RetrySagaCall>(std::move(call)));
  }
  void Resolve(ResolveSagaCall::Ptr call) const;
  void Signal(SignalSagaCall::Ptr call) const;

 private:
  void Fill(const storage::SagaView& view, ops_pb::Saga& out) const;
  void Fill(const SagaApi::Answer& answer, ops_pb::Saga& out) const;

  template <typename Call>
  SagaApi::Done Answering(typename Call::Ptr call) const {
    return [this, call = std::move(call)](absl::StatusOr<SagaApi::Answer> answer) mutable {
      if (!answer.ok()) {
        call->Finish(answer.status());
        return;
      }
      Fill(*answer, call->response());
      call->Finish(absl::OkStatus());
    };
  }

  SagaApi& api_;
  const std::vector<std::string> steps_;
};

void SagaAdmin::Fill(const storage::SagaView& view, ops_pb::Saga& out) const {
  const saga::Header& header = view.header;
  out.set_saga_id(header.id.ToString());
  out.set_kind(header.kind);
  out.set_version(header.version);
  out.set_state(ToWire(header.state));
  if (saga::IsUnfinished(header.state)) {
    out.set_step(view.step_name);
    out.set_attempt(header.attempt);
  }
  out.set_failure_reason(header.failure.reason);
  out.set_failure_detail(header.failure.detail);
  out.set_needs_attention(header.needs_attention);
  if (view.waiting()) {
    const std::vector<std::string_view> names = saga::SplitWaitNames(header.waits_for);
    for (std::string_view name : names) {
      ops_pb::SagaWait& to = *out.add_waits();
      if (const std::optional<saga::Wait> wait = saga::ParseWaitName(name)) {
        to.set_step(std::string(wait->step));
        to.set_action(ToWire(wait->direction));
        to.set_token(std::string(wait->token));
      }
      const auto branch = std::find_if(header.branches.begin(), header.branches.end(), [&](const saga::Branch& one) {
        return one.state == saga::Branch::State::kWaiting && one.step == to.step();
      });
      const bool own = names.size() > 1 && branch != header.branches.end();
      rpc::SetTime(own ? branch->until : header.wakes_at, *to.mutable_until());
    }
  } else {
    out.set_owner(view.owner);
  }
  out.set_epoch(header.epoch);
  if (view.lease_until.has_value()) rpc::SetTime(*view.lease_until, *out.mutable_lease_until());
  rpc::SetTime(header.created_at, *out.mutable_create_time());
  rpc::SetTime(header.updated_at, *out.mutable_update_time());
  out.set_traceparent(header.traceparent);
}

void SagaAdmin::Fill(const SagaApi::Answer& answer, ops_pb::Saga& out) const {
  Fill(answer.saga, out);
  for (const saga::LogEntry& entry : answer.log) {
    ops_pb::SagaLogEntry& line = *out.add_log();
    line.set_sequence(entry.seq);
    line.set_step(entry.step);
    line.set_attempt(entry.attempt);
    line.set_outcome(std::string(saga::Name(entry.outcome)));
    line.set_detail(entry.detail);
    line.set_state(ToWire(entry.state));
    rpc::SetTime(entry.at, *line.mutable_time());
  }
}

void SagaAdmin::List(ListSagasCall::Ptr call) const {
  std::string filter = FilterOf(call->request());
  absl::StatusOr<storage::SagaQuery> query = TakeQuery(call->request());
  if (!query.ok()) {
    call->Finish(query.status());
    return;
  }
  const size_t size = static_cast<size_t>(query->limit);
  ++query->limit;  // one more says whether there is another page
  api_.List(*std::move(query), [this, call = std::move(call), filter = std::move(filter),
                                size](absl::StatusOr<std::vector<storage::SagaView>> sagas) mutable {
    if (!sagas.ok()) {
      call->Finish(sagas.status());
      return;
    }
    ops_pb::ListSagasResponse& response = call->response();
    if (sagas->size() > size) {
      sagas->resize(size);
      response.set_next_page_token(MakePageToken(sagas->back().header.id, filter));
    }
    for (const storage::SagaView& saga : *sagas) Fill(saga, *response.add_sagas());
    call->Finish(absl::OkStatus());
  });
}

void SagaAdmin::Resolve(ResolveSagaCall::Ptr call) const {
  const ops_pb::ResolveSagaRequest& request = call->request();
  absl::StatusOr<Uuid> id = TakeId(request.saga_id(), "saga_id");
  Violations violations;
  CheckText(request.reason(), 1, kReasonMax, "reason", violations);
  CheckText(request.operator_(), 1, kOperatorMax, "operator", violations);
  absl::Status wrong = id.ok() ? std::move(violations).ToStatus() : id.status();
  if (!wrong.ok()) {
    call->Finish(wrong);
    return;
  }
  std::string reason = request.reason();
  domain::Actor by = access::ActorOf(*call->caller(), request.operator_());
  const SteadyTime deadline = call->deadline();
  api_.Resolve(*id, std::move(by), std::move(reason), deadline, Answering<ResolveSagaCall>(std::move(call)));
}

void SagaAdmin::Signal(SignalSagaCall::Ptr call) const {
  absl::StatusOr<SignalRequest> request = TakeSignal(call->request(), steps_);
  if (!request.ok()) {
    call->Finish(request.status());
    return;
  }
  domain::Actor by = access::ActorOf(*call->caller(), call->request().operator_());
  api_.Signal(request->saga_id, std::move(by), std::move(request->signal),
              [this, call = std::move(call)](absl::StatusOr<SagaApi::SignalAnswer> answer) mutable {
                if (!answer.ok()) {
                  call->Finish(answer.status());
                  return;
                }
                call->response().set_result(OnTheWire(answer->result));
                if (answer->saga.has_value()) Fill(*answer->saga, *call->response().mutable_saga());
                call->Finish(absl::OkStatus());
              });
}

}  // namespace

void AddSagaAdmin(rpc::Server& server, SagaApi& api, std::vector<std::string> steps) {
  auto admin = std::make_shared<const SagaAdmin>(api, std::move(steps));
  server.Unary<ops_pb::ListSagasRequest, ops_pb::ListSagasResponse>(
      "waybill.ops.v1.SagaAdmin/ListSagas", domain::Scope::kOps,
      [admin](ListSagasCall::Ptr call) { admin->List(std::move(call)); });
  server.Unary<ops_pb::GetSagaRequest, ops_pb::Saga>("waybill.ops.v1.SagaAdmin/GetSaga", domain::Scope::kOps,
                                                     [admin](GetSagaCall::Ptr call) { admin->Get(std::move(call)); });
  server.Unary<ops_pb::RetrySagaRequest, ops_pb::Saga>(
      "waybill.ops.v1.SagaAdmin/RetrySaga", domain::Scope::kOps,
      [admin](RetrySagaCall::Ptr call) { admin->Retry(std::move(call)); });
  server.Unary<ops_pb::ResolveSagaRequest, ops_pb::Saga>(
      "waybill.ops.v1.SagaAdmin/ResolveSaga", domain::Scope::kOps,
      [admin](ResolveSagaCall::Ptr call) { admin->Resolve(std::move(call)); });
  server.Unary<ops_pb::SignalSagaRequest, ops_pb::SignalSagaResponse>(
      "waybill.ops.v1.SagaAdmin/SignalSaga", domain::Scope::kOps,
      [admin](SignalSagaCall::Ptr call) { admin->Signal(std::move(call)); });
}

}  // namespace waybill::order
