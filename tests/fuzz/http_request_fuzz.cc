// The HTTP server over real connections: bytes are answered, or the connection ends; cut in two they get the same
// answers as in one piece; and the server goes on. The first byte says where the cut is.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "edge/http/server.h"
#include "fmt/format.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

namespace waybill::http {
namespace {

constexpr size_t kBodyMax = 1'000;

// Ends whatever the bytes before it have begun, so that the server hangs up at the latest then: headers, a body, or a
// line, in which nothing makes sense.
const std::string kEnd = "\r\n\r\n" + std::string(kBodyMax, 'x') + "\r\n\r\n";

// Answers with all that was understood of a request, so that whatever is understood differently is answered so.
class Echo {
 public:
  Echo() {
    ServerOptions options;
    options.body_bytes_max = kBodyMax;
    auto started = Server::Start(options, metrics_, log_);
    if (!started.ok()) std::abort();
    server_ = *std::move(started);
    server_->Serve("/", {"echo", {"GET", "HEAD", "POST"}}, [](const ExchangePtr& exchange) {
      const Request& request = exchange->request();
      std::string understood = fmt::format("{} {} {}", request.method, request.path, request.query);
      for (const auto& [name, value] : request.fields) understood += fmt::format("\n{}: {}", name, value);
      exchange->Answer({200, "text/plain", fmt::format("{}\n\n{}", understood, request.body), {}});
    });
  }
  int port() const { return server_->port(); }

 private:
  const SystemClock clock_;
  const Logger log_{LogFormat::kJson, LogLevel::kOff, clock_};
  Metrics metrics_;
  std::unique_ptr<Server> server_;
};

// What the server says to the pieces before it ends the connection.
std::string AnswersTo(int port, std::initializer_list<std::string_view> pieces) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
  for (const std::string_view piece : pieces) {
    if (!piece.empty()) (void)send(fd, piece.data(), piece.size(), MSG_NOSIGNAL);  // it may have hung up
  }
  std::string answers;
  std::array<char, 4096> buffer;
  for (ssize_t bytes; (bytes = recv(fd, buffer.data(), buffer.size(), 0)) > 0;) {
    answers.append(buffer.data(), static_cast<size_t>(bytes));
  }
  close(fd);
  return answers;
}

void Require(bool holds, const char* what, std::string_view bytes, const std::string& one, const std::string& other) {
  if (holds) return;
  std::fprintf(stderr, "%s: %s\n--- in one piece:\n%s\n--- in two:\n%s\n", what,
               absl::CHexEscape(std::string(bytes)).c_str(), one.c_str(), other.c_str());
  std::abort();
}

}  // namespace
}  // namespace waybill::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace waybill::http;  // NOLINT(google-build-using-namespace)
  static const Echo& server = *new Echo;
  if (size == 0 || size > 8'000) return 0;
  const std::string bytes = std::string(reinterpret_cast<const char*>(data) + 1, size - 1) + kEnd;
  const size_t cut = bytes.size() * data[0] / 256;
  const std::string whole = AnswersTo(server.port(), {bytes});
  const std::string in_two =
      AnswersTo(server.port(), {std::string_view(bytes).substr(0, cut), std::string_view(bytes).substr(cut)});
  Require(whole == in_two, "the answers depend on how the bytes were cut", bytes, whole, in_two);
  Require(whole.empty() || whole.starts_with("HTTP/1."), "an answer is no HTTP", bytes, whole, in_two);
  constexpr std::string_view kAlive = "GET /alive HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
  static const std::string alive = AnswersTo(server.port(), {kAlive});
  static int runs = 0;
  if (++runs % 1'000 == 0) {
    const std::string now = AnswersTo(server.port(), {kAlive});
    Require(now == alive && !now.empty(), "the server does not go on as before", bytes, alive, now);
  }
  return 0;
}
