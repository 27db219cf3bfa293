#include "bench/sandbox_client.h"

#include <grpcpp/grpcpp.h>

#include <chrono>

#include "waybill/sandbox/v1/sandbox.grpc.pb.h"

namespace waybill::bench {
namespace {

namespace sandbox_v1 = ::waybill::sandbox::v1;

constexpr std::chrono::seconds kCallTimeout{60};  // the books of a long run are long

absl::Status ToStatus(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), "sandbox: " + status.error_message());
}

}  // namespace

struct SandboxClient::Stub {
  std::unique_ptr<sandbox_v1::SandboxAdmin::Stub> admin;
};

SandboxClient::SandboxClient(const std::string& target) : stub_(std::make_unique<Stub>()) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);  // no limit
  stub_->admin = sandbox_v1::SandboxAdmin::NewStub(
      grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments));
}

SandboxClient::~SandboxClient() = default;

absl::Status SandboxClient::LoseCharges(bool lose) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallTimeout);
  sandbox_v1::SetBehaviourRequest request;
  request.set_target(sandbox_v1::GATEWAY);
  request.mutable_behaviour()->set_lost_before_rate(lose ? 1 : 0);
  sandbox_v1::Behaviours behaviours;
  return ToStatus(stub_->admin->SetBehaviour(&context, request, &behaviours));
}

absl::StatusOr<std::vector<GatewayEntry>> SandboxClient::Books() {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallTimeout);
  sandbox_v1::Books books;
  const grpc::Status status = stub_->admin->GetBooks(&context, sandbox_v1::GetBooksRequest(), &books);
  if (!status.ok()) return ToStatus(status);
  std::vector<GatewayEntry> entries;
  for (const sandbox_v1::Books::Entry& entry : books.entries()) {
    const std::string& key = entry.idempotency_key();  // "<order_id>/charge_payment"
    if (entry.charges() == 0 && entry.refunds() == 0) continue;
    entries.push_back({key.substr(0, key.find('/')), entry.charged_minor(), entry.refunded_minor(), entry.charges(),
                       entry.refunds()});
  }
  return entries;
}

}  // namespace waybill::bench
