#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "boost/asio/connect.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/ssl/context.hpp"
#include "boost/asio/ssl/host_name_verification.hpp"
#include "boost/beast/core.hpp"
#include "boost/beast/http.hpp"
#include "boost/beast/ssl.hpp"
#include "edge/otlp/transport.h"
#include "fmt/format.h"

namespace waybill::otlp {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kAnswerBytesMax = 64 << 10;

// A connection a batch: there is one a second at most, and none is found dead.
class Exchange {
 public:
  Exchange(const Endpoint& endpoint, asio::ssl::context* tls, std::string body)
      : endpoint_(endpoint), resolver_(io_), plain_(io_), timer_(io_) {
    if (tls != nullptr) {
      tls_.emplace(plain_, *tls);
      tls_->set_verify_callback(asio::ssl::host_name_verification(endpoint.host));
      SSL_set_tlsext_host_name(tls_->native_handle(), endpoint.host.c_str());
    }
    request_.method(beast::http::verb::post);
    request_.target(endpoint.path);
    request_.version(11);
    const bool v6 = endpoint.host.find(':') != std::string::npos;
    request_.set(beast::http::field::host,
                 fmt::format("{}{}{}:{}", v6 ? "[" : "", endpoint.host, v6 ? "]" : "", endpoint.port));
    request_.set(beast::http::field::content_type, "application/x-protobuf");
    request_.set(beast::http::field::user_agent, "waybill");
    request_.keep_alive(false);
    request_.body() = std::move(body);
    request_.prepare_payload();
    response_.body_limit(kAnswerBytesMax);
  }

  // What went wrong on the way; then there is no answer.
  error_code Run(absl::Duration timeout) {
    timer_.expires_after(absl::ToChronoNanoseconds(timeout));
    timer_.async_wait([this](error_code ended) {
      if (!ended) Finish(asio::error::timed_out);
    });
    resolver_.async_resolve(
        endpoint_.host, fmt::format("{}", endpoint_.port),
        [this](error_code error, const tcp::resolver::results_type& found) {
          if (error_) return;  // the time was over; nothing is begun any more
          if (error) return Finish(error);
          asio::async_connect(plain_, found, [this](error_code failed, const tcp::endpoint&) { Connected(failed); });
        });
    io_.run();
    return error_.value_or(asio::error::operation_aborted);
  }
  const beast::http::response<beast::http::string_body>& answer() const { return response_.get(); }

 private:
  void Connected(error_code error) {
    if (error_) return;
    if (error || !tls_) return error ? Finish(error) : Talk(plain_);
    tls_->async_handshake(asio::ssl::stream_base::client,
                          [this](error_code failed) { failed ? Finish(failed) : Talk(*tls_); });
  }
  template <typename Stream>
  void Talk(Stream& stream) {
    beast::http::async_write(stream, request_, [this, &stream](error_code error, size_t) {
      if (error) return Finish(error);
      beast::http::async_read(stream, buffer_, response_, [this](error_code failed, size_t) { Finish(failed); });
    });
  }
  void Finish(error_code error) {
    if (error_) return;
    error_ = error;
    error_code ignored;
    timer_.cancel(ignored);
    resolver_.cancel();
    plain_.close(ignored);
  }

  const Endpoint& endpoint_;
  asio::io_context io_{1};
  tcp::resolver resolver_;
  tcp::socket plain_;
  std::optional<asio::ssl::stream<tcp::socket&>> tls_;
  asio::steady_timer timer_;
  beast::http::request<beast::http::string_body> request_;
  beast::flat_buffer buffer_{kAnswerBytesMax};
  beast::http::response_parser<beast::http::string_body> response_;
  std::optional<error_code> error_;
};

absl::StatusCode CodeOf(unsigned http) {
  if (http == 400) return absl::StatusCode::kInvalidArgument;
  if (http == 401 || http == 403) return absl::StatusCode::kPermissionDenied;
  if (http == 429 || http >= 500) return absl::StatusCode::kUnavailable;
  return absl::StatusCode::kUnknown;
}

class HttpTransport final : public Transport {
 public:
  HttpTransport(Endpoint endpoint, const std::string& ca) : endpoint_(std::move(endpoint)) {
    if (!endpoint_.tls) return;
    tls_.emplace(asio::ssl::context::tls_client);
    SSL_CTX_set_min_proto_version(tls_->native_handle(), TLS1_2_VERSION);
    tls_->set_verify_mode(asio::ssl::verify_peer);
    error_code wrong;
    if (ca.empty()) {
      tls_->set_default_verify_paths(wrong);
    } else {
      tls_->add_certificate_authority(asio::buffer(ca), wrong);
    }  // if that fails, nobody is believed, and each attempt says so
  }

  Sent Send(const pb::ExportTraceServiceRequest& request, absl::Duration timeout) override {
    Exchange exchange(endpoint_, tls_ ? &*tls_ : nullptr, request.SerializeAsString());
    Sent sent;
    if (const error_code error = exchange.Run(timeout)) {
      sent.status = absl::UnavailableError(fmt::format("{}:{}: {}", endpoint_.host, endpoint_.port, error.message()));
      sent.again = true;
      return sent;
    }
    const auto& answer = exchange.answer();
    const unsigned code = answer.result_int();
    if (code >= 200 && code < 300) {
      pb::ExportTraceServiceResponse response;
      if (response.ParseFromString(answer.body())) sent.rejected = response.partial_success().rejected_spans();
      return sent;
    }
    sent.status =
        absl::Status(CodeOf(code), fmt::format("{}:{} answered HTTP {}", endpoint_.host, endpoint_.port, code));
    sent.again = code == 429 || code == 502 || code == 503 || code == 504;  // by OTLP these and no others
    const auto wait = answer[beast::http::field::retry_after];
    if (int seconds = 0; absl::SimpleAtoi(absl::string_view(wait.data(), wait.size()), &seconds) && seconds > 0) {
      sent.after = absl::Seconds(seconds);
    }
    return sent;
  }

 private:
  const Endpoint endpoint_;
  std::optional<asio::ssl::context> tls_;
};

}  // namespace

std::unique_ptr<Transport> NewHttpTransport(const Endpoint& endpoint, const std::string& ca) {
  return std::make_unique<HttpTransport>(endpoint, ca);
}

}  // namespace waybill::otlp
