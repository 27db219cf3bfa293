#include "bench/saga_client.h"

#include <grpcpp/grpcpp.h>

#include <chrono>

#include "waybill/ops/v1/ops.grpc.pb.h"

namespace waybill::bench {
namespace {

namespace ops_v1 = ::waybill::ops::v1;

}  // namespace

struct SagaClient::Stub {
  std::unique_ptr<ops_v1::SagaAdmin::Stub> admin;
};

SagaClient::SagaClient(const std::string& target) : stub_(std::make_unique<Stub>()) {
  stub_->admin = ops_v1::SagaAdmin::NewStub(grpc::CreateChannel(target, grpc::InsecureChannelCredentials()));
}

SagaClient::~SagaClient() = default;

absl::Status SagaClient::SignalSuccess(const std::string& saga_id, const std::string& step, const std::string& token) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  ops_v1::SignalSagaRequest request;
  request.set_saga_id(saga_id);
  request.set_step(step);
  request.set_token(token);
  request.set_outcome(ops_v1::SignalSagaRequest::SUCCEEDED);
  request.set_operator_("bench");
  ops_v1::SignalSagaResponse response;
  const grpc::Status status = stub_->admin->SignalSaga(&context, request, &response);
  if (!status.ok()) {
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()), "signal: " + status.error_message());
  }
  if (response.result() != ops_v1::SignalSagaResponse::WOKEN) {
    return absl::FailedPreconditionError("signal: the saga did not wait for it");
  }
  return absl::OkStatus();
}

}  // namespace waybill::bench
