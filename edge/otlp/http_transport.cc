#include <netdb.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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

// Of the endpoint's addresses, by a thread of the C library's: getaddrinfo takes as long as it likes, and nothing ends
// it. One that is under way is what the next call waits for, so that there is one at most.
class Lookup {
 public:
  explicit Lookup(const Endpoint& endpoint) : host_(endpoint.host), port_(fmt::format("{}", endpoint.port)) {}
  ~Lookup() {
    if (question_ == nullptr) return;
    // What the thread still writes into stays.
    if (gai_cancel(&question_->asked) == EAI_NOTCANCELED) (void)question_.release();
  }
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  error_code Find(absl::Duration timeout, std::vector<tcp::endpoint>& found) {
    if (question_ == nullptr) {
      question_ = std::make_unique<Question>(host_, port_);
      gaicb* asked[] = {&question_->asked};
      if (const int refused = getaddrinfo_a(GAI_NOWAIT, asked, 1, nullptr); refused != 0) {
        question_.reset();
        return {refused, asio::error::get_addrinfo_category()};
      }
    }
    const gaicb* asked[] = {&question_->asked};
    const timespec wait = absl::ToTimespec(std::max(timeout, absl::ZeroDuration()));
    (void)gai_suspend(asked, 1, &wait);
    const int answer = gai_error(&question_->asked);
    if (answer == EAI_INPROGRESS) return asio::error::timed_out;
    const std::unique_ptr<Question> done = std::move(question_);
    if (answer != 0) return {answer, asio::error::get_addrinfo_category()};
    for (const addrinfo* at = done->asked.ar_result; at != nullptr; at = at->ai_next) {
      tcp::endpoint& endpoint = found.emplace_back();
      endpoint.resize(at->ai_addrlen);
      std::memcpy(endpoint.data(), at->ai_addr, at->ai_addrlen);
    }
    return {};
  }

 private:
  struct Question {
    Question(std::string of_host, std::string of_port) : host(std::move(of_host)), port(std::move(of_port)) {
      hints.ai_family = AF_UNSPEC;
      hints.ai_socktype = SOCK_STREAM;
      asked.ar_name = host.c_str();
      asked.ar_service = port.c_str();
      asked.ar_request = &hints;
    }
    ~Question() {
      if (asked.ar_result != nullptr) freeaddrinfo(asked.ar_result);
    }
    Question(const Question&) = delete;
    Question& operator=(const Question&) = delete;

    const std::string host, port;
    addrinfo hints{};
    gaicb asked{};
  };

  const std::string host_, port_;
  std::unique_ptr<Question> question_;  // null: none is under way
};

// A connection a batch: there is one a second at most, and none is found dead.
class Exchange {
 public:
  Exchange(const Endpoint& endpoint, asio::ssl::context* tls, std::string body) : plain_(io_), timer_(io_) {
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

  // What went wrong on the way to one of the addresses, or from there; then there is no answer.
  error_code Run(const std::vector<tcp::endpoint>& addresses, absl::Duration timeout) {
    timer_.expires_after(absl::ToChronoNanoseconds(timeout));
    timer_.async_wait([this](error_code ended) {
      if (!ended) Finish(asio::error::timed_out);
    });
    asio::async_connect(plain_, addresses, [this](error_code failed, const tcp::endpoint&) { Connected(failed); });
    io_.run();
    return error_.value_or(asio::error::operation_aborted);
  }
  const beast::http::response<beast::http::string_body>& answer() const { return response_.get(); }

 private:
  void Connected(error_code error) {
    if (error_) return;  // the time was over; nothing is begun any more
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
    plain_.close(ignored);
  }

  asio::io_context io_{1};
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
  HttpTransport(Endpoint endpoint, const std::string& ca) : endpoint_(std::move(endpoint)), lookup_(endpoint_) {
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
    const auto begun = std::chrono::steady_clock::now();
    Exchange exchange(endpoint_, tls_ ? &*tls_ : nullptr, request.SerializeAsString());
    Sent sent;
    std::vector<tcp::endpoint> addresses;
    error_code error = lookup_.Find(timeout, addresses);
    if (!error) {
      error = exchange.Run(addresses, timeout - absl::FromChrono(std::chrono::steady_clock::now() - begun));
    }
    if (error) {
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
  Lookup lookup_;
  std::optional<asio::ssl::context> tls_;
};

}  // namespace

std::unique_ptr<Transport> NewHttpTransport(const Endpoint& endpoint, const std::string& ca) {
  return std::make_unique<HttpTransport>(endpoint, ca);
}

}  // namespace waybill::otlp
