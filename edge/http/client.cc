#include "edge/http/client.h"

#include <netdb.h>

#include <algorithm>
#include <cstring>

#include "boost/asio/connect.hpp"
#include "boost/asio/ssl/host_name_verification.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/beast/core.hpp"
#include "boost/beast/http.hpp"
#include "boost/beast/ssl.hpp"
#include "fmt/format.h"

namespace waybill::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;

// Besides the body: status line and headers.
constexpr uint32_t kAnswerHeaderBytesMax = 16 << 10;

}  // namespace

struct Lookup::Question {
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

Lookup::Lookup(std::string host, int port) : host_(std::move(host)), port_(fmt::format("{}", port)) {}

Lookup::~Lookup() {
  if (!GiveUp()) (void)question_.release();  // what the thread still writes into stays
}

bool Lookup::GiveUp() {
  if (question_ != nullptr && gai_cancel(&question_->asked) == EAI_NOTCANCELED) return false;
  question_.reset();
  return true;
}

error_code Lookup::Find(absl::Duration timeout, Addresses& found) {
  error_code no_address;
  const asio::ip::address address = asio::ip::make_address(host_, no_address);
  if (!no_address) {
    found.emplace_back(address, static_cast<uint16_t>(std::stoi(port_)));
    return {};
  }
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

std::unique_ptr<asio::ssl::context> MakeClientTls(const std::string& ca) {
  auto tls = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_client);
  SSL_CTX_set_min_proto_version(tls->native_handle(), TLS1_2_VERSION);
  tls->set_verify_mode(asio::ssl::verify_peer);
  error_code wrong;
  if (ca.empty()) {
    tls->set_default_verify_paths(wrong);
  } else {
    tls->add_certificate_authority(asio::buffer(ca), wrong);
  }
  return tls;
}

class ClientCall::Run : public std::enable_shared_from_this<Run> {
 public:
  Run(asio::io_context& io, ClientRequest request, asio::ssl::context* tls, size_t answer_bytes_max)
      : plain_(io), timer_(io), buffer_(kAnswerHeaderBytesMax + answer_bytes_max) {
    error_code no_address;
    const asio::ip::address address = asio::ip::make_address(request.host, no_address);
    if (tls != nullptr) {
      tls_.emplace(plain_, *tls);
      tls_->set_verify_callback(asio::ssl::host_name_verification(request.host));
      // An address is no name that a server could be told by (RFC 6066).
      if (no_address) SSL_set_tlsext_host_name(tls_->native_handle(), request.host.c_str());
    }
    request_.method(beast::http::verb::post);
    request_.target(request.target);
    request_.version(11);
    const bool v6 = !no_address && address.is_v6();
    request_.set(beast::http::field::host,
                 fmt::format("{}{}{}:{}", v6 ? "[" : "", request.host, v6 ? "]" : "", request.port));
    request_.set(beast::http::field::user_agent, "waybill");
    for (const auto& [name, value] : request.headers) request_.set(name, value);
    request_.keep_alive(false);
    request_.body() = std::move(request.body);
    request_.prepare_payload();
    response_.body_limit(answer_bytes_max);
    response_.header_limit(kAnswerHeaderBytesMax);
  }

  void Start(const Addresses& addresses, absl::Duration timeout, Done done) {
    done_ = std::move(done);
    timer_.expires_after(absl::ToChronoNanoseconds(timeout));
    timer_.async_wait([self = shared_from_this()](error_code ended) {
      if (!ended) self->Finish(asio::error::timed_out);
    });
    asio::async_connect(plain_, addresses, [self = shared_from_this()](error_code failed, const tcp::endpoint&) {
      self->Connected(failed);
    });
  }
  // Nobody waits for it any more.
  void Abandon() {
    done_ = nullptr;
    Close();
  }
  const ClientAnswer& answer() const { return answer_; }

 private:
  void Connected(error_code error) {
    if (over_) return;  // nothing is begun any more
    if (error || !tls_) return error ? Finish(error) : Talk(plain_);
    tls_->async_handshake(asio::ssl::stream_base::client, [self = shared_from_this()](error_code failed) {
      failed ? self->Finish(failed) : self->Talk(*self->tls_);
    });
  }
  template <typename Stream>
  void Talk(Stream& stream) {
    if (over_) return;
    beast::http::async_write(stream, request_, [self = shared_from_this(), &stream](error_code error, size_t) {
      // One who answers without having read it all has answered.
      if (error && error != asio::error::broken_pipe && error != asio::error::connection_reset)
        return self->Finish(error);
      if (self->over_) return;
      beast::http::async_read(stream, self->buffer_, self->response_,
                              [self](error_code failed, size_t) { self->Finish(failed); });
    });
  }
  void Finish(error_code error) {
    if (over_) return;
    if (response_.is_header_done()) {
      // What it thinks of the request stands in the status, whatever becomes of the rest.
      answer_.cut = static_cast<bool>(error);
      error = {};
      const auto& response = response_.get();
      answer_.status = response.result_int();
      answer_.body = response.body();
      const auto wait = response[beast::http::field::retry_after];
      answer_.retry_after = std::string(wait.data(), wait.size());
    }
    Close();
    if (Done done = std::exchange(done_, nullptr)) done(error);
  }
  void Close() {
    over_ = true;
    error_code ignored;
    timer_.cancel(ignored);
    plain_.close(ignored);
  }

  tcp::socket plain_;
  std::optional<asio::ssl::stream<tcp::socket&>> tls_;
  asio::steady_timer timer_;
  beast::http::request<beast::http::string_body> request_;
  beast::flat_buffer buffer_;
  beast::http::response_parser<beast::http::string_body> response_;
  ClientAnswer answer_;
  Done done_;
  bool over_ = false;
};

ClientCall::ClientCall(asio::io_context& io, ClientRequest request, asio::ssl::context* tls, size_t answer_bytes_max)
    : run_(std::make_shared<Run>(io, std::move(request), tls, answer_bytes_max)) {}

ClientCall::~ClientCall() { run_->Abandon(); }

void ClientCall::Start(const Addresses& addresses, absl::Duration timeout, Done done) {
  run_->Start(addresses, timeout, std::move(done));
}

const ClientAnswer& ClientCall::answer() const { return run_->answer(); }

}  // namespace waybill::http
