#include <utility>

#include "edge/otlp/transport.h"
#include "edge/rpc/client.h"
#include "edge/rpc/credentials.h"
#include "edge/rpc/status.h"
#include "fmt/format.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"
#include "runtime/status.h"

namespace waybill::otlp {
namespace {

// By OTLP: what is no fault of the data.
bool MayComeAgain(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
      return true;
    case absl::StatusCode::kResourceExhausted:
      return GetErrorDetail(status).retry_after > absl::ZeroDuration();
    default:
      return false;
  }
}

class GrpcTransport final : public Transport {
 public:
  GrpcTransport(const Endpoint& endpoint, const std::string& ca)
      : stub_(pb::TraceService::NewStub(rpc::MakeChannel(Target(endpoint), rpc::Pings::kRare, Trust(endpoint, ca)))) {}

  Sent Send(const pb::ExportTraceServiceRequest& request, absl::Duration timeout) override {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
    pb::ExportTraceServiceResponse response;
    Sent sent;
    sent.status = rpc::FromGrpcStatus(stub_->Export(&context, request, &response));
    if (sent.status.ok()) {
      sent.rejected = response.partial_success().rejected_spans();
    } else {
      sent.again = MayComeAgain(sent.status);
      sent.after = GetErrorDetail(sent.status).retry_after;
    }
    return sent;
  }

 private:
  static std::string Target(const Endpoint& endpoint) {
    const bool v6 = endpoint.host.find(':') != std::string::npos;
    return fmt::format("{}{}{}:{}", v6 ? "[" : "", endpoint.host, v6 ? "]" : "", endpoint.port);
  }
  static std::shared_ptr<grpc::ChannelCredentials> Trust(const Endpoint& endpoint, const std::string& ca) {
    if (!endpoint.tls) return grpc::InsecureChannelCredentials();
    tls::Credentials credentials;
    credentials.ca = ca;
    return rpc::MakeChannelCredentials(credentials);
  }

  const std::unique_ptr<pb::TraceService::Stub> stub_;
};

}  // namespace

std::unique_ptr<Transport> NewGrpcTransport(const Endpoint& endpoint, const std::string& ca) {
  return std::make_unique<GrpcTransport>(endpoint, ca);
}

}  // namespace waybill::otlp
