// Connections over TLS that do nothing, once each has been greeted: what they cost is the server's memory.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace waybill::bench {

enum class Protocol { kHttp, kGrpc };

class IdleConnections {
 public:
  // `ca`: a PEM file of those who vouch for the server.
  static absl::StatusOr<IdleConnections> Open(const std::string& target, Protocol protocol, int count,
                                              const std::string& ca);
  ~IdleConnections();
  IdleConnections(IdleConnections&&) = default;
  IdleConnections& operator=(IdleConnections&&) = delete;

  // How many the server has not closed.
  int CountOpen() const;

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(SSL* connection) const { SSL_free(connection); }
  };
  using Connection = std::unique_ptr<SSL, Free>;

  IdleConnections() = default;
  absl::StatusOr<Connection> OpenOne(const std::string& target, Protocol protocol) const;

  std::unique_ptr<SSL_CTX, Free> context_;
  std::vector<Connection> connections_;
};

}  // namespace waybill::bench
