#include "bench/idle_connections.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/resource.h>

#include <array>
#include <string_view>

#include "fmt/format.h"

namespace waybill::bench {
namespace {

constexpr std::string_view kHttpAlpn("\x08http/1.1", 9);
constexpr std::string_view kGrpcAlpn("\x02h2", 3);
constexpr std::string_view kHttpGreeting = "GET /healthz HTTP/1.1\r\nhost: waybill\r\n\r\n";
// HTTP/2's preface and an empty frame of settings: the server answers with its own.
constexpr std::string_view kGrpcGreeting("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
constexpr rlim_t kOtherFiles = 200;

absl::Status TlsError(const std::string& what) {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  return absl::UnavailableError(fmt::format("{}: {}", what, text.data()));
}

absl::Status AllowFiles(int count) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t wanted = static_cast<rlim_t>(count) + kOtherFiles;
  if (limit.rlim_cur >= wanted) return absl::OkStatus();
  limit.rlim_cur = wanted;
  if (wanted <= limit.rlim_max && setrlimit(RLIMIT_NOFILE, &limit) == 0) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      fmt::format("{} connections need {} open files, and {} are allowed (ulimit -Hn)", count, wanted, limit.rlim_max));
}

}  // namespace

absl::StatusOr<IdleConnections> IdleConnections::Open(const std::string& target, Protocol protocol, int count,
                                                      const std::string& ca) {
  if (const absl::Status allowed = AllowFiles(count); !allowed.ok()) return allowed;
  IdleConnections opened;
  opened.context_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_verify(opened.context_.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(opened.context_.get(), SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_load_verify_locations(opened.context_.get(), ca.c_str(), nullptr) != 1) return TlsError(ca);
  for (int i = 0; i < count; ++i) {
    absl::StatusOr<Connection> connection = opened.OpenOne(target, protocol);
    if (!connection.ok()) {
      return absl::UnavailableError(
          fmt::format("connection {} of {}: {}", i + 1, count, std::string(connection.status().message())));
    }
    opened.connections_.push_back(*std::move(connection));
  }
  return opened;
}

IdleConnections::~IdleConnections() = default;

absl::StatusOr<IdleConnections::Connection> IdleConnections::OpenOne(const std::string& target,
                                                                     Protocol protocol) const {
  const bool http = protocol == Protocol::kHttp;
  const std::string_view alpn = http ? kHttpAlpn : kGrpcAlpn;
  const std::string_view greeting = http ? kHttpGreeting : kGrpcGreeting;
  BIO* socket = BIO_new_connect(target.c_str());
  Connection connection(SSL_new(context_.get()));
  SSL_set_bio(connection.get(), socket, socket);
  SSL_set_alpn_protos(connection.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                      static_cast<unsigned>(alpn.size()));
  if (SSL_connect(connection.get()) != 1) return TlsError("handshake");
  if (SSL_write(connection.get(), greeting.data(), static_cast<int>(greeting.size())) <= 0) return TlsError("greeting");
  std::array<char, 4096> answer{};
  if (SSL_read(connection.get(), answer.data(), answer.size()) <= 0) return TlsError("answer to the greeting");
  return connection;
}

int IdleConnections::CountOpen() const {
  int open = 0;
  for (const Connection& connection : connections_) {
    pollfd ended{SSL_get_fd(connection.get()), POLLRDHUP, 0};
    if (poll(&ended, 1, 0) == 0) ++open;
  }
  return open;
}

}  // namespace waybill::bench
