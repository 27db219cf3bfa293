#include "edge/rpc/listen_addresses.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "fmt/format.h"

namespace waybill::rpc {
namespace {

constexpr int kAnyPortTries = 16;

struct FreeAddressList {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

class BoundSocket {
 public:
  explicit BoundSocket(int fd) : fd_(fd) {}
  BoundSocket(BoundSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  BoundSocket& operator=(BoundSocket&&) = delete;
  ~BoundSocket() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

absl::StatusOr<std::unique_ptr<addrinfo, FreeAddressList>> Look(const std::string& host, int flags) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | flags;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), "0", &hints, &found);
  if (error != 0) return absl::UnavailableError(fmt::format("{}: {}", host, gai_strerror(error)));
  return std::unique_ptr<addrinfo, FreeAddressList>(found);
}

in_port_t& PortOf(sockaddr_storage& address) {
  if (address.ss_family == AF_INET6) return reinterpret_cast<sockaddr_in6&>(address).sin6_port;
  return reinterpret_cast<sockaddr_in&>(address).sin_port;
}

std::string Shown(const std::string& host, uint16_t port) {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

// Binds as gRPC will: others may have been there a moment ago, but not now, and :: is every IPv4 address as well.
// Answers errno, and in `port` the one that was taken for 0.
int Bind(const std::string& host, uint16_t& port, std::vector<BoundSocket>& bound) {
  auto found = Look(host, AI_NUMERICHOST);
  if (!found.ok()) return EADDRNOTAVAIL;
  sockaddr_storage address = {};
  std::memcpy(&address, (*found)->ai_addr, (*found)->ai_addrlen);
  PortOf(address) = htons(port);
  BoundSocket socket(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.fd() < 0) return errno;
  const int on = 1, off = 0;
  setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (address.ss_family == AF_INET6) setsockopt(socket.fd(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  socklen_t size = (*found)->ai_addrlen;
  if (bind(socket.fd(), reinterpret_cast<sockaddr*>(&address), size) != 0) return errno;
  if (getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return errno;
  port = ntohs(PortOf(address));
  bound.push_back(std::move(socket));
  return 0;
}

// Whether the kernel speaks a protocol at all, and the machine has the address: a localhost that is also ::1 in
// /etc/hosts is common where there is no IPv6.
bool NotHere(int error) { return error == EADDRNOTAVAIL || error == EAFNOSUPPORT; }

}  // namespace

absl::StatusOr<std::vector<std::string>> FreeAddresses(const std::vector<std::string>& hosts, uint16_t port) {
  absl::Status why;
  for (int i = 0; i < kAnyPortTries; ++i) {
    std::vector<BoundSocket> bound;  // all at once, so that a free port is free on each
    std::vector<std::string> here;
    uint16_t taken = port;
    absl::Status missing;
    why = absl::OkStatus();
    for (std::string host : hosts) {
      int error = Bind(host, taken, bound);
      if (NotHere(error) && host == "::") {  // where the kernel has no IPv6 at all, everything is IPv4
        host = "0.0.0.0";
        error = Bind(host, taken, bound);
      }
      if (error == 0) {
        here.push_back(host);
        continue;
      }
      const absl::Status status =
          absl::UnavailableError(fmt::format("{}: {}", Shown(host, taken), std::generic_category().message(error)));
      (NotHere(error) ? missing : why).Update(status);
    }
    if (why.ok() && here.empty()) return missing;
    if (why.ok()) {
      std::vector<std::string> addresses;
      for (const std::string& host : here) addresses.push_back(Shown(host, here.size() > 1 ? taken : port));
      return addresses;
    }
    if (port != 0) break;
  }
  return why;
}

absl::StatusOr<std::vector<std::string>> ListenAddresses(const std::string& listen) {
  const size_t colon = listen.rfind(':');
  std::string host = listen.substr(0, colon == std::string::npos ? 0 : colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  uint16_t port = 0;
  const char* end = listen.data() + listen.size();
  const auto read = std::from_chars(colon == std::string::npos ? end : listen.data() + colon + 1, end, port);
  if (host.empty() || (!bracketed && host.find(':') != std::string::npos) || read.ec != std::errc() ||
      read.ptr != end) {
    return std::vector<std::string>{listen};
  }
  auto found = Look(host, 0);
  if (!found.ok()) return found.status();
  std::vector<std::string> hosts;
  for (const addrinfo* one = found->get(); one != nullptr; one = one->ai_next) {
    char numeric[NI_MAXHOST] = {};
    if (getnameinfo(one->ai_addr, one->ai_addrlen, numeric, sizeof(numeric), nullptr, 0, NI_NUMERICHOST) != 0) continue;
    if (std::find(hosts.begin(), hosts.end(), numeric) == hosts.end()) hosts.emplace_back(numeric);
  }
  return FreeAddresses(hosts, port);
}

}  // namespace waybill::rpc
