#include <memory>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "edge/http/client.h"
#include "edge/otlp/transport.h"
#include "fmt/format.h"

namespace waybill::otlp {
namespace {

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
      : endpoint_(std::move(endpoint)), tls_(endpoint_.tls ? http::MakeClientTls(ca) : nullptr) {}

  Sent Send(const pb::ExportTraceServiceRequest& request, absl::Duration timeout) override {
    Sent sent;
    const absl::StatusOr<http::ClientAnswer> answer = http::CallAndWait({endpoint_.host,
                                                                         endpoint_.port,
                                                                         endpoint_.path,
                                                                         {{"content-type", "application/x-protobuf"}},
                                                                         request.SerializeAsString()},
                                                                        tls_.get(), kAnswerBytesMax, timeout);
    if (!answer.ok()) {
      sent.status = absl::UnavailableError(
          fmt::format("{}:{}: {}", endpoint_.host, endpoint_.port, std::string(answer.status().message())));
      sent.again = true;
      return sent;
    }
    const unsigned code = answer->status;
    if (code >= 200 && code < 300) {
      if (answer->cut) {  // whether it has taken all of them is not known
        sent.status =
            absl::UnavailableError(fmt::format("{}:{}: the answer did not come whole", endpoint_.host, endpoint_.port));
        sent.again = true;
        return sent;
      }
      pb::ExportTraceServiceResponse response;
      if (response.ParseFromString(answer->body)) sent.rejected = response.partial_success().rejected_spans();
      return sent;
    }
    sent.status =
        absl::Status(CodeOf(code), fmt::format("{}:{} answered HTTP {}", endpoint_.host, endpoint_.port, code));
    sent.again = code == 429 || code == 502 || code == 503 || code == 504;  // by OTLP these and no others
    if (int seconds = 0; absl::SimpleAtoi(answer->retry_after, &seconds) && seconds > 0) {
      sent.after = absl::Seconds(seconds);
    }
    return sent;
  }

 private:
  const Endpoint endpoint_;
  const std::unique_ptr<boost::asio::ssl::context> tls_;  // null: plain
};

}  // namespace

std::unique_ptr<Transport> NewHttpTransport(const Endpoint& endpoint, const std::string& ca) {
  return std::make_unique<HttpTransport>(endpoint, ca);
}

}  // namespace waybill::otlp
