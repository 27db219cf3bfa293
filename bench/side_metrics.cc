#include "bench/side_metrics.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/numbers.h"
#include "fmt/format.h"

namespace waybill::bench {
namespace {

constexpr timeval kTimeout{5, 0};

struct Socket {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ~Socket() {
    if (fd >= 0) close(fd);
  }
};

absl::StatusOr<sockaddr_in> ParseAddress(const std::string& address) {
  sockaddr_in parsed{};
  parsed.sin_family = AF_INET;
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      inet_pton(AF_INET, address.substr(0, colon).c_str(), &parsed.sin_addr) != 1) {
    return absl::InvalidArgumentError(fmt::format("\"{}\" is no address:port", address));
  }
  parsed.sin_port = htons(static_cast<uint16_t>(port));
  return parsed;
}

// The whole answer, headers included.
absl::StatusOr<std::string> Ask(const std::string& address, std::string_view request) {
  const absl::StatusOr<sockaddr_in> to = ParseAddress(address);
  if (!to.ok()) return to.status();
  const auto failed = [&] { return absl::UnavailableError(fmt::format("{}: {}", address, std::strerror(errno))); };
  const Socket socket;
  setsockopt(socket.fd, SOL_SOCKET, SO_RCVTIMEO, &kTimeout, sizeof(kTimeout));
  setsockopt(socket.fd, SOL_SOCKET, SO_SNDTIMEO, &kTimeout, sizeof(kTimeout));
  if (connect(socket.fd, reinterpret_cast<const sockaddr*>(&*to), sizeof(*to)) != 0) return failed();
  if (send(socket.fd, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    return failed();
  }
  std::string answer;
  char part[16'384];
  ssize_t size = 0;
  while ((size = recv(socket.fd, part, sizeof(part), 0)) > 0) answer.append(part, static_cast<size_t>(size));
  if (size < 0) return failed();
  return answer;
}

}  // namespace

absl::StatusOr<double> MetricOnPage(std::string_view page, std::string_view name) {
  double sum = 0;
  bool found = false;
  while (!page.empty()) {
    const std::string_view line = page.substr(0, page.find('\n'));
    page.remove_prefix(std::min(line.size() + 1, page.size()));
    if (!line.starts_with(name) || line.size() == name.size()) continue;
    if (line[name.size()] != ' ' && line[name.size()] != '{') continue;  // the name only begins alike
    // NAME{labels} VALUE: what a label says may hold blanks, too, so the value is looked for from the end.
    double value = 0;
    if (!absl::SimpleAtod(std::string(line.substr(line.rfind(' ') + 1)), &value)) continue;
    sum += value;
    found = true;
  }
  if (!found) return absl::NotFoundError(fmt::format("no metric {}", name));
  return sum;
}

absl::StatusOr<double> ReadMetric(const std::string& address, std::string_view name) {
  // HTTP 1.0: the answer ends with the connection.
  const absl::StatusOr<std::string> answer =
      Ask(address, fmt::format("GET /metrics HTTP/1.0\r\nHost: {}\r\n\r\n", address));
  if (!answer.ok()) return answer.status();
  return MetricOnPage(*answer, name);
}

}  // namespace waybill::bench
