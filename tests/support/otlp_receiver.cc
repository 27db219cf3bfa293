#include "tests/support/otlp_receiver.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "fmt/format.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"

namespace waybill::testing {
namespace {

std::string HexOf(const std::string& bytes) { return absl::BytesToHexString(bytes); }

std::string TextOf(const opentelemetry::proto::common::v1::AnyValue& value) {
  if (value.has_int_value()) return fmt::format("{}", value.int_value());
  if (value.has_bool_value()) return value.bool_value() ? "true" : "false";
  return value.string_value();
}

template <typename Attributes>
std::string Find(const Attributes& attributes, std::string_view key) {
  for (const auto& attribute : attributes) {
    if (attribute.key() == key) return TextOf(attribute.value());
  }
  return "";
}

}  // namespace

std::string ReceivedSpan::Attribute(std::string_view key) const { return Find(span.attributes(), key); }

OtlpReceiver::OtlpReceiver(const Issued* certificate) : tls_(certificate != nullptr) {
  std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
  http::ServerOptions options;
  if (certificate != nullptr) {
    grpc::SslServerCredentialsOptions tls;
    tls.pem_key_cert_pairs.push_back({certificate->key, certificate->certificate});
    credentials = grpc::SslServerCredentials(tls);
    auto context = std::make_shared<boost::asio::ssl::context>(boost::asio::ssl::context::tls_server);
    context->use_certificate_chain(boost::asio::buffer(certificate->certificate));
    context->use_private_key(boost::asio::buffer(certificate->key), boost::asio::ssl::context::pem);
    options.tls = [context] { return context; };
  }
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", credentials, &grpc_port_);
  builder.RegisterService(this);
  grpc_ = builder.BuildAndStart();
  EXPECT_NE(grpc_, nullptr);
  auto served = http::Server::Start(options, metrics_, log_);
  EXPECT_TRUE(served.ok()) << served.status();
  http_ = *std::move(served);
  http_->Serve("/v1/traces", {"traces", {"POST"}}, [this](const http::ExchangePtr& exchange) { ServeHttp(exchange); });
}

OtlpReceiver::~OtlpReceiver() { grpc_->Shutdown(std::chrono::system_clock::now()); }

std::string OtlpReceiver::GrpcUrl() const {
  return fmt::format("{}://localhost:{}", tls_ ? "grpcs" : "grpc", grpc_port_);
}
std::string OtlpReceiver::HttpUrl() const {
  return fmt::format("{}://localhost:{}", tls_ ? "https" : "http", http_->port());
}

void OtlpReceiver::SetAnswer(Answer answer) {
  std::lock_guard lock(mutex_);
  answer_ = std::move(answer);
}

std::vector<ReceivedSpan> OtlpReceiver::spans() const {
  std::lock_guard lock(mutex_);
  return spans_;
}

std::vector<ReceivedSpan> OtlpReceiver::Named(std::string_view name) const {
  std::vector<ReceivedSpan> named;
  for (ReceivedSpan& span : spans()) {
    if (span.name == name) named.push_back(std::move(span));
  }
  return named;
}

int OtlpReceiver::requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}

std::vector<std::string> OtlpReceiver::complaints() const {
  std::lock_guard lock(mutex_);
  return complaints_;
}

grpc::Status OtlpReceiver::Export(grpc::ServerContext*, const Request* request, Response* response) {
  return Take(*request, *response);
}

grpc::Status OtlpReceiver::Take(const Request& request, Response& response) {
  std::lock_guard lock(mutex_);
  ++requests_;
  if (answer_) {
    if (grpc::Status refused = answer_(request, response); !refused.ok()) return refused;
  }
  for (const auto& resource : request.resource_spans()) {
    for (const auto& scope : resource.scope_spans()) {
      for (const auto& span : scope.spans()) {
        ReceivedSpan& kept = spans_.emplace_back();
        kept.trace = HexOf(span.trace_id());
        kept.id = HexOf(span.span_id());
        kept.parent = HexOf(span.parent_span_id());
        kept.name = span.name();
        kept.state = span.trace_state();
        kept.service = Find(resource.resource().attributes(), "service.name");
        kept.instance = Find(resource.resource().attributes(), "service.instance.id");
        kept.span = span;
        const auto complain = [&](const char* what) {
          complaints_.push_back(fmt::format("{}: {}", span.name(), what));
        };
        if (kept.trace.size() != 32 || kept.trace.find_first_not_of('0') == std::string::npos) complain("trace id");
        if (kept.id.size() != 16 || kept.id.find_first_not_of('0') == std::string::npos) complain("span id");
        if (!kept.parent.empty() && kept.parent.size() != 16) complain("parent");
        if (kept.name.empty() || kept.service.empty()) complain("names");
        if (span.kind() == 0) complain("kind");
        if (span.start_time_unix_nano() == 0 || span.end_time_unix_nano() < span.start_time_unix_nano())
          complain("time");
      }
    }
  }
  return grpc::Status::OK;
}

void OtlpReceiver::ServeHttp(const http::ExchangePtr& exchange) {
  Request request;
  Response response;
  http::Response answer;
  answer.content_type = "application/x-protobuf";
  if (exchange->request().Field("content-type") != "application/x-protobuf" ||
      !request.ParseFromString(exchange->request().body)) {
    answer.code = 400;
  } else if (const grpc::Status status = Take(request, response); !status.ok()) {
    answer.code = status.error_code() == grpc::StatusCode::UNAVAILABLE          ? 503
                  : status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ? 429
                                                                                : 400;
    if (retry_after_ > 0) answer.fields.emplace_back("retry-after", fmt::format("{}", retry_after_));
  } else {
    answer.body = response.SerializeAsString();
  }
  exchange->Answer(std::move(answer));
}

}  // namespace waybill::testing
