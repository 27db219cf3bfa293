// TLS for servers on Asio, from the same files and by the same policy as gRPC's.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "boost/asio/ssl/context.hpp"
#include "edge/tls/watcher.h"

namespace waybill::tls {

class ServerContext {
 public:
  // Connections speak HTTP/1.1: a client that names other protocols only (ALPN) is sent away. `watcher` has a
  // certificate, and a CA unless `clients` is kNone; it outlives this.
  ServerContext(const Watcher& watcher, ClientCertificates clients) : watcher_(watcher), clients_(clients) {}

  // For a connection that begins now. Thread-safe; the same one until there are other certificates. Connections keep
  // theirs.
  std::shared_ptr<boost::asio::ssl::context> current();

 private:
  const Watcher& watcher_;
  const ClientCertificates clients_;
  std::mutex mutex_;
  std::shared_ptr<const Credentials> made_of_;
  std::shared_ptr<boost::asio::ssl::context> context_;
};

// Whether a certificate's name can be that of a key: printable ASCII. Others are passed over: what carries names on, or
// logs them, may not bear a control character, a NUL, or bytes of another encoding.
bool IsNameOfAKey(std::string_view name);

// The names in the certificate that the other side has shown: its URIs, then its DNS names; or, where it has no
// alternative names of any kind, its common name. Empty when it has shown none, or none of our CA.
std::vector<std::string> VerifiedNames(const SSL* connection);

}  // namespace waybill::tls
