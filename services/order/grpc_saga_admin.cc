#include "services/order/grpc_saga_admin.h"

#include <memory>
#include <utility>

#include "fmt/format.h"
#include "services/order/intake.h"
#include "services/order/requests.h"
#include "services/rpc/proto_time.h"
#include "waybill/ops/v1/ops.pb.h"

namespace waybill::order {
namespace {

namespace ops_pb = waybill::ops::v1;

using ListSagasCall = rpc::UnaryCall<ops_pb::ListSagasRequest, ops_pb::ListSagasResponse>;
using GetSagaCall = rpc::UnaryCall<ops_pb::GetSagaRequest, ops_pb::Saga>;
using RetrySagaCall = rpc::UnaryCall<ops_pb::RetrySagaRequest, ops_pb::Saga>;
using ResolveSagaCall = rpc::UnaryCall<ops_pb::ResolveSagaRequest, ops_pb::Saga>;

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
    api_.Retry(*id, deadline, Answering<RetrySagaCall>(std::move(call)));
  }
  void Resolve(ResolveSagaCall::Ptr call) const;

 private:
  void Fill(const storage::SagaView& view, ops_pb::Saga& out) const;

  template <typename Call>
  SagaApi::Done Answering(typename Call::Ptr call) const {
    return [this, call = std::move(call)](absl::StatusOr<SagaApi::Answer> answer) mutable {
      if (!answer.ok()) {
        call->Finish(answer.status());
        return;
      }
      Fill(answer->saga, call->response());
      for (const saga::LogEntry& entry : answer->log) {
        ops_pb::SagaLogEntry& out = *call->response().add_log();
        out.set_sequence(entry.seq);
        out.set_step(entry.step);
        out.set_attempt(entry.attempt);
        out.set_outcome(std::string(saga::Name(entry.outcome)));
        out.set_detail(entry.detail);
        out.set_state(ToWire(entry.state));
        rpc::SetTime(entry.at, *out.mutable_time());
      }
      call->Finish(absl::OkStatus());
    };
  }

  SagaApi& api_;
  const std::vector<std::string> steps_;
};

void SagaAdmin::Fill(const storage::SagaView& view, ops_pb::Saga& out) const {
  const saga::Header& header = view.header;
  out.set_saga_id(header.id.ToString());
  out.set_state(ToWire(header.state));
  if (saga::IsUnfinished(header.state)) {
    const size_t step = static_cast<size_t>(header.step);
    if (step < steps_.size()) out.set_step(steps_[step]);
    out.set_attempt(header.attempt);
  }
  out.set_failure_reason(header.failure.reason);
  out.set_failure_detail(header.failure.detail);
  out.set_needs_attention(header.needs_attention);
  out.set_owner(view.owner);
  out.set_epoch(header.epoch);
  if (view.lease_until.has_value()) rpc::SetTime(*view.lease_until, *out.mutable_lease_until());
  rpc::SetTime(header.created_at, *out.mutable_create_time());
  rpc::SetTime(header.updated_at, *out.mutable_update_time());
  out.set_traceparent(header.traceparent);
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
  std::string reason = fmt::format("{}: {}", request.operator_(), request.reason());
  const SteadyTime deadline = call->deadline();
  api_.Resolve(*id, std::move(reason), deadline, Answering<ResolveSagaCall>(std::move(call)));
}

}  // namespace

void AddSagaAdmin(rpc::Server& server, SagaApi& api, std::vector<std::string> steps) {
  auto admin = std::make_shared<const SagaAdmin>(api, std::move(steps));
  server.Unary<ops_pb::ListSagasRequest, ops_pb::ListSagasResponse>(
      "waybill.ops.v1.SagaAdmin/ListSagas", [admin](ListSagasCall::Ptr call) { admin->List(std::move(call)); });
  server.Unary<ops_pb::GetSagaRequest, ops_pb::Saga>("waybill.ops.v1.SagaAdmin/GetSaga",
                                                     [admin](GetSagaCall::Ptr call) { admin->Get(std::move(call)); });
  server.Unary<ops_pb::RetrySagaRequest, ops_pb::Saga>(
      "waybill.ops.v1.SagaAdmin/RetrySaga", [admin](RetrySagaCall::Ptr call) { admin->Retry(std::move(call)); });
  server.Unary<ops_pb::ResolveSagaRequest, ops_pb::Saga>(
      "waybill.ops.v1.SagaAdmin/ResolveSaga", [admin](ResolveSagaCall::Ptr call) { admin->Resolve(std::move(call)); });
}

}  // namespace waybill::order
