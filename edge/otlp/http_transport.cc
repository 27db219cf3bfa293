#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "boost/asio/error.hpp"
#include "boost/asio/io_context.hpp"
#include "edge/http/client.h"
#include "edge/otlp/transport.h"
#include "fmt/format.h"

namespace waybill::otlp {
namespace {

using boost::system::error_code;

constexpr size_t kAnswerBytesMax = 64 << 10;

absl::StatusCode CodeOf(unsigned http) {
  if (http == 400) return absl::StatusCode::kInvalidArgument;
  if (http == 401 || http == 403) return absl::StatusCode::kPermissionDenied;
  if (http == 429 || http >= 500) return absl::StatusCode::kUnavailable;
  return absl::StatusCode::kUnknown;
}

// A connection a batch: there is one a second at most, and none is found dead.
class HttpTransport final : public Transport {
 public:
  HttpTransport(Endpoint endpoint, const std::string& ca)
      : endpoint_(std::move(endpoint)),
        lookup_(endpoint_.host, endpoint_.port),
        tls_(endpoint_.tls ? http::MakeClientTls(ca) : nullptr) {}

  Sent Send(const pb::ExportTraceServiceRequest& request, absl::Duration timeout) override {
    const auto begun = std::chrono::steady_clock::now();
    Sent sent;
    http::Addresses addresses;
    error_code error = lookup_.Find(timeout, addresses);
    boost::asio::io_context io{1};
    http::ClientCall exchange(io,
                              {endpoint_.host,
                               endpoint_.port,
                               endpoint_.path,
                               {{"content-type", "application/x-protobuf"}},
                               request.SerializeAsString()},
                              tls_.get(), kAnswerBytesMax);
    if (!error) {
      error = boost::asio::error::operation_aborted;
      exchange.Start(addresses, timeout - absl::FromChrono(std::chrono::steady_clock::now() - begun),
                     [&error](error_code failed) { error = failed; });
      io.run();
    }
    if (error) {
      sent.status = absl::UnavailableError(fmt::format("{}:{}: {}", endpoint_.host, endpoint_.port, error.message()));
      sent.again = true;
      return sent;
    }
    const http::ClientAnswer& answer = exchange.answer();
    const unsigned code = answer.status;
    if (code >= 200 && code < 300) {
      if (answer.cut) {  // whether it has taken all of them is not known
        sent.status =
            absl::UnavailableError(fmt::format("{}:{}: the answer did not come whole", endpoint_.host, endpoint_.port));
        sent.again = true;
        return sent;
      }
      pb::ExportTraceServiceResponse response;
      if (response.ParseFromString(answer.body)) sent.rejected = response.partial_success().rejected_spans();
      return sent;
    }
    sent.status =
        absl::Status(CodeOf(code), fmt::format("{}:{} answered HTTP {}", endpoint_.host, endpoint_.port, code));
    sent.again = code == 429 || code == 502 || code == 503 || code == 504;  // by OTLP these and no others
    if (int seconds = 0; absl::SimpleAtoi(answer.retry_after, &seconds) && seconds > 0) {
      sent.after = absl::Seconds(seconds);
    }
    return sent;
  }

 private:
  const Endpoint endpoint_;
  http::Lookup lookup_;
  const std::unique_ptr<boost::asio::ssl::context> tls_;  // null: plain
};

}  // namespace

std::unique_ptr<Transport> NewHttpTransport(const Endpoint& endpoint, const std::string& ca) {
  return std::make_unique<HttpTransport>(endpoint, ca);
}

}  // namespace waybill::otlp
