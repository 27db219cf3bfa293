// What a process shows of itself over TLS, and whom it believes: PEM files, read and checked before anybody uses them.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace waybill::tls {

// Paths; "" where there is none.
struct Files {
  std::string certificate;  // our own first, then those between it and a CA that the others know
  std::string key;          // of our own certificate, not encrypted
  std::string ca;           // those who may vouch for the others
  bool empty() const { return certificate.empty() && key.empty() && ca.empty(); }
};

// What the files held: PEM, "" where there is none. Fit to be used, whatever the time is.
struct Credentials {
  std::string certificate;
  std::string key;
  std::string ca;
  // Between these, every certificate of `certificate` is valid; infinite without one.
  absl::Time not_before = absl::InfinitePast();
  absl::Time not_after = absl::InfiniteFuture();

  bool ValidAt(absl::Time now) const { return not_before <= now && now < not_after; }
};

// What a server does about the certificates of its clients. Those that are shown have to be of its CA.
enum class ClientCertificates {
  kNone,     // does not ask for them
  kAccept,   // asks, and serves those too who have none
  kRequire,  // serves nobody else
};

// Certificate and key come together or not at all. INVALID_ARGUMENT names the file and what is wrong: it cannot be
// read, is no PEM, is encrypted, key and certificate do not belong together, or they are too weak for OpenSSL.
absl::StatusOr<Credentials> ReadCredentials(const Files& files);

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using ContextPtr = std::unique_ptr<SSL_CTX, FreeContext>;

// A context for a server's connections, by one policy: TLS 1.2 or 1.3, forward secrecy and authenticated encryption
// only, neither compression nor renegotiation. `credentials` have a certificate, and a CA unless `clients` is kNone.
// INVALID_ARGUMENT says what OpenSSL has against them.
absl::StatusOr<ContextPtr> NewServerContext(const Credentials& credentials, ClientCertificates clients);

}  // namespace waybill::tls
