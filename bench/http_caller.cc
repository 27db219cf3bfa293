#include "bench/http_caller.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cctype>

#include "fmt/format.h"

namespace waybill::bench {

HttpCaller::~HttpCaller() {
  if (fd_ >= 0) close(fd_);
}

absl::Status HttpCaller::Connect(const std::string& target) {
  const size_t colon = target.rfind(':');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::stoi(target.substr(colon + 1))));
  if (inet_pton(AF_INET, target.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    return absl::InvalidArgumentError(fmt::format("{} is no address", target));
  }
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int one = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return absl::UnavailableError(fmt::format("{} takes no connection", target));
  }
  return absl::OkStatus();
}

absl::Status HttpCaller::Ask(const std::string& request) {
  answer_.clear();
  const bool sent = send(fd_, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size());
  return sent ? absl::OkStatus() : absl::UnavailableError("the connection was closed");
}

absl::StatusOr<std::optional<int>> HttpCaller::Read() {
  std::array<char, 16 << 10> buffer;
  const ssize_t bytes = recv(fd_, buffer.data(), buffer.size(), 0);
  if (bytes <= 0) return absl::UnavailableError("the connection was closed");
  answer_.append(buffer.data(), static_cast<size_t>(bytes));
  const size_t end = answer_.find("\r\n\r\n");
  if (end == std::string::npos) return std::nullopt;
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  if (!answer_.starts_with(kVersion)) return absl::InternalError(fmt::format("no answer of HTTP/1.1: {}", answer_));
  const int code = std::stoi(answer_.substr(kVersion.size()));
  constexpr int kNoContent = 204;
  if (code == kNoContent) return code;
  std::string head = answer_.substr(0, end);  // balancers write names in lower case
  for (char& letter : head) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  constexpr std::string_view kLength = "\r\ncontent-length: ";
  const size_t length = head.find(kLength);
  if (length == std::string::npos) {
    return absl::InternalError(fmt::format("an answer without a length: {}", answer_));
  }
  if (answer_.size() < end + 4 + std::stoul(head.substr(length + kLength.size()))) return std::nullopt;
  return code;
}

}  // namespace waybill::bench
