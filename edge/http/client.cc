#include "edge/http/client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

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

beast::http::request<beast::http::string_body> MakeRequest(ClientRequest request, bool keep_alive) {
  error_code no_address;
  const bool v6 = asio::ip::make_address(request.host, no_address).is_v6();
  beast::http::request<beast::http::string_body> made;
  made.method_string(request.method);
  made.target(request.target);
  made.version(11);
  made.set(beast::http::field::host,
           fmt::format("{}{}{}:{}", v6 ? "[" : "", request.host, v6 ? "]" : "", request.port));
  made.set(beast::http::field::user_agent, "waybill");
  for (const auto& [name, value] : request.headers) made.set(name, value);
  made.keep_alive(keep_alive);
  made.body() = std::move(request.body);
  made.prepare_payload();
  return made;
}

struct KeptConnection::Socket {
  Socket(asio::io_context& io, asio::ssl::context* context, const std::string& host, size_t answer_bytes_max)
      : plain(io), buffer(kAnswerHeaderBytesMax + answer_bytes_max) {
    if (context == nullptr) return;
    error_code no_address;
    (void)asio::ip::make_address(host, no_address);
    tls.emplace(plain, *context);
    tls->set_verify_callback(asio::ssl::host_name_verification(host));
    // An address is no name that a server could be told by (RFC 6066).
    if (no_address) SSL_set_tlsext_host_name(tls->native_handle(), host.c_str());
  }

  tcp::socket plain;
  std::optional<asio::ssl::stream<tcp::socket&>> tls;
  beast::flat_buffer buffer;
};

KeptConnection::KeptConnection(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {}
KeptConnection::KeptConnection(KeptConnection&& other) noexcept = default;
KeptConnection& KeptConnection::operator=(KeptConnection&& other) noexcept = default;
KeptConnection::~KeptConnection() = default;

bool IsQuiet(int socket, ssl_st* tls) {
  char byte;
  if (tls != nullptr) {
    ERR_clear_error();
    const int read = SSL_peek(tls, &byte, 1);
    if (read > 0 || SSL_get_error(tls, read) != SSL_ERROR_WANT_READ) return false;
  }
  const ssize_t read = ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return read < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

bool KeptConnection::Quiet() const {
  return IsQuiet(socket_->plain.native_handle(), socket_->tls ? socket_->tls->native_handle() : nullptr);
}

class ClientCall::Run : public std::enable_shared_from_this<Run> {
 public:
  using Socket = KeptConnection::Socket;

  Run(asio::io_context& io, ClientRequest request, asio::ssl::context* tls, size_t answer_bytes_max, bool keep)
      : io_(io), tls_(tls), host_(request.host), timer_(io), answer_bytes_max_(answer_bytes_max) {
    request_ = MakeRequest(std::move(request), keep);
  }

  void Start(const Addresses& addresses, absl::Duration timeout, Done done) {
    socket_ = std::make_unique<Socket>(io_, tls_, host_, answer_bytes_max_);
    Begin(timeout, std::move(done));
    asio::async_connect(
        socket_->plain, addresses,
        [self = shared_from_this()](error_code failed, const tcp::endpoint&) { self->Connected(failed); });
  }
  void Start(std::unique_ptr<Socket> socket, absl::Duration timeout, Done done) {
    socket_ = std::move(socket);
    Begin(timeout, std::move(done));
    socket_->tls ? Talk(*socket_->tls) : Talk(socket_->plain);
  }
  std::unique_ptr<Socket> Take() { return kept_ ? std::move(socket_) : nullptr; }
  // Nobody waits for it any more.
  void Abandon() {
    done_ = nullptr;
    Close();
  }
  const ClientAnswer& answer() const { return answer_; }

 private:
  void Begin(absl::Duration timeout, Done done) {
    done_ = std::move(done);
    timer_.expires_after(absl::ToChronoNanoseconds(timeout));
    timer_.async_wait([self = shared_from_this()](error_code ended) {
      if (!ended) self->Finish(asio::error::timed_out);
    });
  }
  void Connected(error_code error) {
    if (over_) return;  // nothing is begun any more
    if (error) return Finish(error);
    error_code ignored;
    socket_->plain.set_option(tcp::no_delay(true), ignored);
    if (!socket_->tls) return Talk(socket_->plain);
    socket_->tls->async_handshake(asio::ssl::stream_base::client, [self = shared_from_this()](error_code failed) {
      failed ? self->Finish(failed) : self->Talk(*self->socket_->tls);
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
      self->Read(stream);
    });
  }
  template <typename Stream>
  void Read(Stream& stream) {
    response_.emplace();
    response_->body_limit(answer_bytes_max_);
    response_->header_limit(kAnswerHeaderBytesMax);
    beast::http::async_read(stream, socket_->buffer, *response_,
                            [self = shared_from_this(), &stream](error_code failed, size_t) {
                              if (self->over_) return;
                              // An interim answer: the one that counts comes behind it.
                              if (!failed && self->response_->get().result_int() < 200) return self->Read(stream);
                              self->Finish(failed);
                            });
  }
  void Finish(error_code error) {
    if (over_) return;
    if (response_ && response_->is_header_done() && response_->get().result_int() >= 200) {
      // What it thinks of the request stands in the status, whatever becomes of the rest.
      answer_.cut = static_cast<bool>(error);
      error = {};
      const auto& response = response_->get();
      answer_.status = response.result_int();
      answer_.body = response.body();
      const auto wait = response[beast::http::field::retry_after];
      answer_.retry_after = std::string(wait.data(), wait.size());
      kept_ = !answer_.cut && request_.keep_alive() && response_->keep_alive() && socket_->buffer.size() == 0;
    }
    Close();
    if (Done done = std::exchange(done_, nullptr)) done(error);
  }
  void Close() {
    over_ = true;
    error_code ignored;
    timer_.cancel(ignored);
    if (socket_ && !kept_) socket_->plain.close(ignored);
  }

  asio::io_context& io_;
  asio::ssl::context* const tls_;
  const std::string host_;
  std::unique_ptr<Socket> socket_;  // once begun, until it is taken
  asio::steady_timer timer_;
  beast::http::request<beast::http::string_body> request_;
  const size_t answer_bytes_max_;
  std::optional<beast::http::response_parser<beast::http::string_body>> response_;
  ClientAnswer answer_;
  Done done_;
  bool over_ = false;
  bool kept_ = false;  // the connection is still of use
};

ClientCall::ClientCall(asio::io_context& io, ClientRequest request, asio::ssl::context* tls, size_t answer_bytes_max,
                       bool keep)
    : run_(std::make_shared<Run>(io, std::move(request), tls, answer_bytes_max, keep)) {}

ClientCall::~ClientCall() { run_->Abandon(); }

void ClientCall::Start(const Addresses& addresses, absl::Duration timeout, Done done) {
  run_->Start(addresses, timeout, std::move(done));
}

void ClientCall::Start(KeptConnection connection, absl::Duration timeout, Done done) {
  run_->Start(std::move(connection.socket_), timeout, std::move(done));
}

std::optional<KeptConnection> ClientCall::Take() {
  std::unique_ptr<KeptConnection::Socket> socket = run_->Take();
  if (!socket) return std::nullopt;
  return KeptConnection(std::move(socket));
}

const ClientAnswer& ClientCall::answer() const { return run_->answer(); }

absl::StatusOr<ClientAnswer> CallAndWait(ClientRequest request, asio::ssl::context* tls, size_t answer_bytes_max,
                                         absl::Duration timeout) {
  const auto begun = std::chrono::steady_clock::now();
  asio::io_context io{1};
  Lookup lookup(io, request.host, request.port);
  ClientCall call(io, std::move(request), tls, answer_bytes_max);
  absl::Status outcome = absl::UnavailableError("not asked");
  lookup.Start(timeout, [&](absl::StatusOr<Addresses> found) {
    outcome = found.status();
    if (!found.ok()) return;
    const absl::Duration left = timeout - absl::FromChrono(std::chrono::steady_clock::now() - begun);
    call.Start(*found, left, [&outcome](error_code failed) {
      if (!failed) return;
      outcome = failed == asio::error::timed_out ? absl::DeadlineExceededError(failed.message())
                                                 : absl::UnavailableError(failed.message());
    });
  });
  io.run();
  if (!outcome.ok()) return outcome;
  return call.answer();
}

}  // namespace waybill::http
