#include "runtime/side_port.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <set>
#include <string_view>
#include <thread>
#include <utility>

#include "boost/asio/buffer.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/ip/v6_only.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/write.hpp"
#include "boost/beast/core/flat_buffer.hpp"
#include "boost/beast/core/tcp_stream.hpp"
#include "boost/beast/http/empty_body.hpp"
#include "boost/beast/http/error.hpp"
#include "boost/beast/http/parser.hpp"
#include "boost/beast/http/read.hpp"
#include "boost/beast/http/status.hpp"
#include "fmt/format.h"

namespace waybill {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using beast::error_code;

constexpr uint32_t kHeaderMax = 16 * 1024;  // bytes
constexpr std::chrono::seconds kLingerMax{1};

constexpr char kText[] = "text/plain; charset=utf-8";

struct Response {
  unsigned code = 200;
  std::string body;
  std::string content_type = kText;
};

// `name` or `name=anything` is among the query's parameters.
bool HasParameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    std::string_view parameter = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), parameter.size() + 1));
    if (parameter.substr(0, parameter.find('=')) == name) return true;
  }
  return false;
}

std::string Reason(const absl::Status& status) {
  std::string text = absl::StatusCodeToString(status.code()) + ": " + std::string(status.message());
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

Response Ready(const Readiness::Report& report, bool verbose) {
  Response response;
  response.code = report.ready ? 200 : 503;
  if (report.draining) {
    response.body = "not ready: draining\n";
    return response;
  }
  const std::string_view state = !report.ready ? "not ready" : report.degraded ? "degraded" : "ready";
  if (verbose) {
    for (const auto& check : report.checks) {
      const bool required = check.severity == Readiness::Severity::kRequired;
      response.body += check.status.ok()
                           ? fmt::format("[+] {} ok\n", check.name)
                           : fmt::format("[{}] {} {}\n", required ? '-' : '!', check.name, Reason(check.status));
    }
    response.body += fmt::format("{}\n", state);
    return response;
  }
  response.body = state;
  std::string_view separator = ": ";
  for (const auto& check : report.checks) {
    if (check.status.ok()) continue;
    response.body += fmt::format("{}{} {}", separator, check.name, Reason(check.status));
    separator = "; ";
  }
  response.body += '\n';
  return response;
}

// "127.0.0.1:80", "[::1]:80", "localhost:80".
absl::StatusOr<tcp::endpoint> ParseListen(asio::io_context& io, const std::string& listen) {
  const size_t colon = listen.rfind(':');
  std::string host = listen.substr(0, colon == std::string::npos ? 0 : colon);
  const std::string port = colon == std::string::npos ? "" : listen.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const bool plausible = !host.empty() && (bracketed || host.find(':') == std::string::npos) && !port.empty() &&
                         port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos &&
                         std::stoi(port) <= UINT16_MAX;
  error_code error;
  tcp::resolver::results_type found;
  if (plausible) found = tcp::resolver(io).resolve(host, port, tcp::resolver::passive, error);
  if (!plausible || error || found.empty()) {
    return absl::InvalidArgumentError(fmt::format("side port address '{}' is not host:port", listen));
  }
  return found.begin()->endpoint();
}

}  // namespace

// One thread serves all connections: nothing that is answered here blocks. One request a connection.
class SidePort::Server {
 public:
  Server(const SidePortOptions& options, const Metrics& metrics, const Readiness& readiness, const Logger& log)
      : options_(options), metrics_(metrics), readiness_(readiness), log_(log) {}

  // The port.
  absl::StatusOr<int> Start() {
    absl::StatusOr<tcp::endpoint> endpoint = ParseListen(io_, options_.listen);
    if (!endpoint.ok()) return endpoint.status();
    error_code error = Listen(*endpoint);
    // Where the kernel has no IPv6 at all, everything is IPv4.
    if (error == asio::error::address_family_not_supported && endpoint->address().is_unspecified()) {
      error = Listen(tcp::endpoint(tcp::v4(), endpoint->port()));
    }
    if (error) {
      return absl::UnavailableError(
          fmt::format("side port cannot listen on '{}': {}", options_.listen, error.message()));
    }
    Accept();
    thread_ = std::thread([this] { io_.run(); });
    return acceptor_.local_endpoint().port();
  }

  ~Server() {
    asio::post(io_, [this] {
      stopping_ = true;
      error_code ignored;
      acceptor_.close(ignored);
      retry_.cancel();
      for (const auto& session : sessions_) session->DropUnlessAnswering();
    });
    if (thread_.joinable()) thread_.join();  // nothing is left to do
  }

 private:
  class Session : public std::enable_shared_from_this<Session> {
   public:
    Session(Server& server, tcp::socket socket) : server_(server), stream_(std::move(socket)) {}

    void Start() {
      parser_.header_limit(kHeaderMax);
      stream_.expires_after(absl::ToChronoNanoseconds(server_.options_.request_timeout));
      http::async_read_header(stream_, buffer_, parser_,
                              [self = shared_from_this()](error_code error, size_t) { self->OnRequest(error); });
    }
    // Its client waits for nothing, or has waited too little to matter.
    void DropUnlessAnswering() {
      if (!answering_) stream_.close();
    }

   private:
    void OnRequest(error_code error) {
      if (!error) {
        const bool head = parser_.get().method() == http::verb::head;
        Send(server_.Answer(parser_.get()), !head);
      } else if (error.category() == http::make_error_code(http::error::bad_method).category() &&
                 error != http::error::end_of_stream && error != http::error::partial_message) {
        server_.log_.Debug("side port", {{"detail", error.message()}});
        Send({error == http::error::header_limit ? 431u : 400u, "bad request\n"}, true);
      } else {
        End();
      }
    }

    void Send(const Response& response, bool with_body) {
      text_ = fmt::format(
          "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{}Connection: "
          "close\r\n\r\n{}",
          response.code, std::string_view(http::obsolete_reason(http::int_to_status(response.code))),
          response.content_type, response.body.size(), response.code == 405 ? "Allow: GET, HEAD\r\n" : "",
          with_body ? response.body : "");
      answering_ = true;
      stream_.expires_after(absl::ToChronoNanoseconds(server_.options_.answer_timeout));
      asio::async_write(stream_, asio::buffer(text_),
                        [self = shared_from_this()](error_code error, size_t) { self->OnSent(error); });
    }

    // Closing at once, with input unread, would reset the connection, and the answer might be lost with it.
    void OnSent(error_code error) {
      answering_ = false;
      if (!error) stream_.socket().shutdown(tcp::socket::shutdown_send, error);
      if (error || server_.stopping_) {
        End();
        return;
      }
      stream_.expires_after(kLingerMax);
      Linger();
    }
    void Linger() {
      stream_.async_read_some(asio::buffer(unread_), [self = shared_from_this()](error_code error, size_t) {
        error ? self->End() : self->Linger();
      });
    }

    void End() {
      stream_.close();
      server_.sessions_.erase(shared_from_this());
      server_.Accept();
    }

    Server& server_;
    beast::tcp_stream stream_;
    beast::flat_buffer buffer_{kHeaderMax};
    http::request_parser<http::empty_body> parser_;
    std::string text_;
    bool answering_ = false;
    std::array<char, 1024> unread_;
  };

  error_code Listen(const tcp::endpoint& endpoint) {
    error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    // "[::]" takes IPv4 too, whatever the system's default is.
    if (!error && endpoint.protocol() == tcp::v6()) acceptor_.set_option(asio::ip::v6_only(false), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(tcp::acceptor::max_listen_connections, error);
    return error;
  }

  // Beyond the limit, clients wait for their turn in the kernel.
  void Accept() {
    if (accepting_ || stopping_ || sessions_.size() >= options_.connections_max) return;
    accepting_ = true;
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      accepting_ = false;
      if (stopping_) return;
      if (!error) {
        auto session = std::make_shared<Session>(*this, std::move(socket));
        sessions_.insert(session);
        session->Start();
        Accept();
        return;
      }
      // No file descriptor is free, most likely.
      log_.Debug("side port", {{"detail", error.message()}});
      retry_.expires_after(std::chrono::milliseconds(100));
      retry_.async_wait([this](error_code cancelled) {
        if (!cancelled) Accept();
      });
    });
  }

  Response Answer(const http::request<http::empty_body>& request) const {
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
      return {405, "only GET and HEAD\n"};
    }
    const std::string_view target(request.target().data(), request.target().size());
    const std::string_view path = target.substr(0, target.find('?'));
    const std::string_view query = path.size() < target.size() ? target.substr(path.size() + 1) : std::string_view();
    if (path == "/livez") return {200, "alive\n"};
    if (path == "/readyz") return Ready(readiness_.Get(), HasParameter(query, "verbose"));
    if (path == "/metrics") {
      if (request[http::field::accept].find("application/json") != beast::string_view::npos) {
        return {200, metrics_.ToJson(), "application/json"};
      }
      return {200, metrics_.ToText(), "text/plain; version=0.0.4; charset=utf-8"};
    }
    return {404, "not found; try /livez, /readyz or /metrics\n"};
  }

  const SidePortOptions options_;
  const Metrics& metrics_;
  const Readiness& readiness_;
  const Logger& log_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  asio::steady_timer retry_{io_};
  std::set<std::shared_ptr<Session>> sessions_;
  bool accepting_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

SidePort::SidePort(std::unique_ptr<Server> server, int port) : server_(std::move(server)), port_(port) {}
SidePort::~SidePort() = default;

absl::StatusOr<std::unique_ptr<SidePort>> SidePort::Start(const SidePortOptions& options, const Metrics& metrics,
                                                          const Readiness& readiness, const Logger& log) {
  auto server = std::make_unique<Server>(options, metrics, readiness, log);
  absl::StatusOr<int> port = server->Start();
  if (!port.ok()) return port.status();
  return std::unique_ptr<SidePort>(new SidePort(std::move(server), *port));
}

}  // namespace waybill
