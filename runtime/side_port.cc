#include "runtime/side_port.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "CivetServer.h"
#include "fmt/format.h"

namespace waybill {
namespace {

constexpr char kText[] = "text/plain; charset=utf-8";

struct Response {
  int code = 200;
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
  if (verbose) {
    for (const auto& check : report.checks) {
      response.body += check.status.ok() ? fmt::format("[+] {} ok\n", check.name)
                                         : fmt::format("[-] {} {}\n", check.name, Reason(check.status));
    }
    response.body += report.ready ? "ready\n" : "not ready\n";
    return response;
  }
  if (report.ready) {
    response.body = "ready\n";
    return response;
  }
  response.body = "not ready";
  std::string_view separator = ": ";
  for (const auto& check : report.checks) {
    if (check.status.ok()) continue;
    response.body += fmt::format("{}{} {}", separator, check.name, Reason(check.status));
    separator = "; ";
  }
  response.body += '\n';
  return response;
}

// Opens a connection and drops it.
void Knock(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return;
  for (addrinfo* to = found; to != nullptr; to = to->ai_next) {
    int fd = socket(to->ai_family, to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to->ai_protocol);
    if (fd < 0) continue;
    [[maybe_unused]] int result = connect(fd, to->ai_addr, to->ai_addrlen);
    close(fd);
  }
  freeaddrinfo(found);
}

}  // namespace

struct SidePortHandler {
  static SidePort& Self(const mg_connection* connection) {
    auto* server = static_cast<CivetServer*>(mg_get_user_context_data(connection));
    return *static_cast<SidePort*>(const_cast<void*>(server->getUserContext()));
  }

  static Response Answer(SidePort& self, const mg_request_info& request, std::string_view accept) {
    std::string_view path = request.local_uri == nullptr ? "" : request.local_uri;
    std::string_view query = request.query_string == nullptr ? "" : request.query_string;
    if (path == "/livez") return {200, "alive\n"};
    if (path == "/readyz") return Ready(self.readiness_.Get(), HasParameter(query, "verbose"));
    if (path == "/metrics") {
      if (accept.find("application/json") != std::string_view::npos) {
        return {200, self.metrics_.ToJson(), "application/json"};
      }
      return {200, self.metrics_.ToText(), "text/plain; version=0.0.4; charset=utf-8"};
    }
    return {404, "not found; try /livez, /readyz or /metrics\n"};
  }

  // Not mg_response_header_…, nor civetweb's own error pages: they write the date by gmtime, which is not thread-safe.
  static void Send(mg_connection* connection, const Response& response, bool with_body) {
    std::string text = fmt::format(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{}Connection: "
        "close\r\n\r\n",
        response.code, mg_get_response_code_text(connection, response.code), response.content_type,
        response.body.size(), response.code == 405 ? "Allow: GET, HEAD\r\n" : "");
    if (with_body) text += response.body;
    mg_write(connection, text.data(), text.size());
  }

  // A request that civetweb cannot read, or that did not come in time.
  static int OnError(mg_connection* connection, int code, const char* /*message*/) {
    Send(connection, {code, "bad request\n"}, true);
    return 0;  // sent
  }

  // civetweb's hook for every request, before it looks for handlers or files: one place for all paths and methods.
  static int OnRequest(mg_connection* connection) {
    const mg_request_info& request = *mg_get_request_info(connection);
    std::string_view method = request.request_method;
    Response response;
    if (method == "GET" || method == "HEAD") {
      const char* accept = mg_get_header(connection, "Accept");
      response = Answer(Self(connection), request, accept == nullptr ? "" : accept);
    } else {
      response = {405, "only GET and HEAD\n"};
    }
    Send(connection, response, method != "HEAD");
    return response.code;
  }

  // civetweb's own errors: a port in use, an unparseable request.
  static int OnMessage(const mg_connection* connection, const char* message) {
    if (connection != nullptr) Self(connection).log_.Debug("side port", {{"detail", message}});
    return 1;  // said; civetweb need not
  }
};

SidePort::SidePort(const Metrics& metrics, Readiness& readiness, const Logger& log)
    : metrics_(metrics), readiness_(readiness), log_(log) {}

SidePort::~SidePort() {
  if (server_ == nullptr) return;
  // civetweb looks at its stop flag every two seconds, or when someone connects: knock, so that stopping takes no time.
  std::promise<void> closed;
  std::future<void> done = closed.get_future();
  std::thread closer([&] {
    server_->close();
    closed.set_value();
  });
  while (done.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) Knock(host_, port_);
  closer.join();
}

absl::StatusOr<std::unique_ptr<SidePort>> SidePort::Start(const SidePortOptions& options, const Metrics& metrics,
                                                          Readiness& readiness, const Logger& log) {
  // Debian's civetweb is built without IPv6; and it would take "80s" as TLS, "80r" as a redirect and "80,81" as two
  // ports.
  size_t colon = options.listen.rfind(':');
  std::string_view digits =
      colon == std::string::npos ? std::string_view() : std::string_view(options.listen).substr(colon + 1);
  if (digits.empty() || colon == 0 || options.listen.front() == '[' ||
      digits.find_first_not_of("0123456789") != std::string_view::npos ||
      options.listen.find(',') != std::string::npos) {
    return absl::InvalidArgumentError(
        fmt::format("side port address '{}' is not host:port with an IPv4 host", options.listen));
  }
  std::unique_ptr<SidePort> side_port(new SidePort(metrics, readiness, log));
  std::vector<std::string> settings = {
      "listening_ports",
      options.listen,
      "num_threads",
      std::to_string(options.threads),
      "request_timeout_ms",
      std::to_string(absl::ToInt64Milliseconds(options.request_timeout)),
      "max_request_size",
      "16384",
      "enable_keep_alive",
      "no",
      "enable_directory_listing",
      "no",
  };
  CivetCallbacks callbacks;
  callbacks.begin_request = SidePortHandler::OnRequest;
  callbacks.http_error = SidePortHandler::OnError;
  callbacks.log_message = SidePortHandler::OnMessage;
  try {
    side_port->server_ = std::make_unique<CivetServer>(settings, &callbacks, side_port.get());
  } catch (const CivetException&) {
    return absl::UnavailableError(fmt::format("side port cannot listen on '{}'", options.listen));
  }
  std::vector<int> ports = side_port->server_->getListeningPorts();
  if (ports.empty()) return absl::UnavailableError("side port listens on nothing");
  side_port->port_ = ports.front();
  side_port->host_ = options.listen.substr(0, colon);
  return side_port;
}

}  // namespace waybill
