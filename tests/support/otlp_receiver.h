// A collector of traces: serves the public OTLP service, by gRPC and by HTTP, and keeps what it is sent.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "boost/asio/ssl/context.hpp"
#include "edge/http/server.h"
#include "grpcpp/server.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "tests/support/certificates.h"

namespace waybill::testing {

// A span as a backend has it, ids in hexadecimal digits.
struct ReceivedSpan {
  std::string trace, id, parent;  // parent "": a root
  std::string name, service, instance, state;
  opentelemetry::proto::trace::v1::Span span;

  std::string Attribute(std::string_view key) const;  // "" when absent
};

class OtlpReceiver final : public opentelemetry::proto::collector::trace::v1::TraceService::Service {
 public:
  using Request = opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
  using Response = opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;
  // What is answered to a request; of the status HTTP makes a code: UNAVAILABLE 503, RESOURCE_EXHAUSTED 429, others
  // 400.
  using Answer = std::function<grpc::Status(const Request& request, Response& response)>;

  // Listens on free ports of this machine, over TLS if there is a certificate.
  explicit OtlpReceiver(const Issued* certificate = nullptr);
  ~OtlpReceiver() override;

  std::string GrpcUrl() const;
  std::string HttpUrl() const;
  void SetAnswer(Answer answer);
  void SetRetryAfter(int seconds) { retry_after_ = seconds; }  // said with HTTP's 503 and 429

  // Of the requests that were answered OK.
  std::vector<ReceivedSpan> spans() const;
  std::vector<ReceivedSpan> Named(std::string_view name) const;
  int requests() const;  // all
  // What is wrong with a span by the protocol; empty: nothing.
  std::vector<std::string> complaints() const;

 private:
  grpc::Status Export(grpc::ServerContext* context, const Request* request, Response* response) override;
  grpc::Status Take(const Request& request, Response& response);
  void ServeHttp(const http::ExchangePtr& exchange);

  const bool tls_;
  int retry_after_ = 0;
  int grpc_port_ = 0;
  mutable std::mutex mutex_;
  Answer answer_;
  int requests_ = 0;
  std::vector<ReceivedSpan> spans_;
  std::vector<std::string> complaints_;
  SystemClock clock_;
  Metrics metrics_;
  Logger log_{LogFormat::kText, LogLevel::kOff, clock_};
  std::unique_ptr<grpc::Server> grpc_;
  std::unique_ptr<http::Server> http_;
};

}  // namespace waybill::testing
