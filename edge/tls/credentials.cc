#include "edge/tls/credentials.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <ctime>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "fmt/format.h"

namespace waybill::tls {
namespace {

constexpr size_t kFileBytesMax = 1 << 20;

// As gRPC's own are, and what TLS 1.2 is left with; those of 1.3 are good without exception.
constexpr char kCipherSuites12[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305";

template <auto Free>
struct FreeBy {
  template <typename T>
  void operator()(T* freed) const {
    Free(freed);
  }
};
using BioPtr = std::unique_ptr<BIO, FreeBy<BIO_free>>;
using CertificatePtr = std::unique_ptr<X509, FreeBy<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeBy<EVP_PKEY_free>>;

absl::Status Wrong(const std::string& file, std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("{}: {}", file, what));
}

std::string WhatOpenSslSays() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason != nullptr ? reason : "OpenSSL refuses it";
}

absl::StatusOr<std::string> ReadWhole(const std::string& file) {
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO would make it wait
  if (fd < 0) return Wrong(file, fmt::format("cannot be read: {}", std::generic_category().message(errno)));
  std::string text(kFileBytesMax + 1, '\0');
  size_t size = 0;
  ssize_t read_now = 0;
  while (size < text.size() && (read_now = read(fd, text.data() + size, text.size() - size)) > 0) {
    size += static_cast<size_t>(read_now);
  }
  const int error = read_now < 0 ? errno : 0;
  close(fd);
  if (error != 0) return Wrong(file, fmt::format("cannot be read: {}", std::generic_category().message(error)));
  if (size > kFileBytesMax) return Wrong(file, "is larger than 1 MiB");
  text.resize(size);
  return text;
}

BioPtr Over(const std::string& pem) { return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); }

// All of them, in their order; empty when there is none, or one of them is broken.
std::vector<CertificatePtr> ParseCertificates(const std::string& pem) {
  std::vector<CertificatePtr> certificates;
  const BioPtr bio = Over(pem);
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) certificates.emplace_back(next);
  const bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!ended) certificates.clear();
  return certificates;
}

// Null when it is none, or asks for a password, which nobody is there to give.
KeyPtr ParseKey(const std::string& pem) {
  const auto no_password = [](char*, int, int, void*) { return -1; };
  KeyPtr key(PEM_read_bio_PrivateKey(Over(pem).get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  return key;
}

bool IsEncrypted(std::string_view pem) {
  return pem.find("ENCRYPTED PRIVATE KEY") != std::string_view::npos ||
         pem.find("Proc-Type: 4,ENCRYPTED") != std::string_view::npos;
}

absl::Time TimeOf(const ASN1_TIME* time) {
  std::tm utc = {};
  return ASN1_TIME_to_tm(time, &utc) == 1 ? absl::FromTM(utc, absl::UTCTimeZone()) : absl::UnixEpoch();
}

absl::Status UseCertificate(SSL_CTX* context, const Credentials& credentials) {
  const std::vector<CertificatePtr> chain = ParseCertificates(credentials.certificate);
  const KeyPtr key = ParseKey(credentials.key);
  bool used = !chain.empty() && key && SSL_CTX_use_certificate(context, chain[0].get()) == 1;
  for (size_t i = 1; used && i < chain.size(); ++i) used = SSL_CTX_add1_chain_cert(context, chain[i].get()) == 1;
  if (used && SSL_CTX_use_PrivateKey(context, key.get()) == 1) return absl::OkStatus();
  return absl::InvalidArgumentError(WhatOpenSslSays());
}

absl::Status BelieveCa(SSL_CTX* context, const std::string& pem) {
  const std::vector<CertificatePtr> cas = ParseCertificates(pem);
  if (cas.empty()) return absl::InvalidArgumentError("there is no CA");
  for (const CertificatePtr& ca : cas) {
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca.get()) != 1 ||
        SSL_CTX_add_client_CA(context, ca.get()) != 1) {
      return absl::InvalidArgumentError(WhatOpenSslSays());
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Credentials> ReadCredentials(const Files& files) {
  Credentials read;
  for (const auto& [file, text] : {std::pair(&files.certificate, &read.certificate), std::pair(&files.key, &read.key),
                                   std::pair(&files.ca, &read.ca)}) {
    if (file->empty()) continue;
    absl::StatusOr<std::string> whole = ReadWhole(*file);
    if (!whole.ok()) return whole.status();
    *text = *std::move(whole);
  }
  if (!files.ca.empty() && ParseCertificates(read.ca).empty()) return Wrong(files.ca, "is not a PEM of certificates");
  if (files.certificate.empty()) return read;

  const std::vector<CertificatePtr> chain = ParseCertificates(read.certificate);
  if (chain.empty()) return Wrong(files.certificate, "is not a PEM of certificates");
  const KeyPtr key = ParseKey(read.key);
  if (!key && IsEncrypted(read.key)) return Wrong(files.key, "is encrypted, and nobody is there to give the password");
  if (!key) return Wrong(files.key, "is not a PEM of a private key");
  if (X509_check_private_key(chain[0].get(), key.get()) != 1) {
    ERR_clear_error();
    return Wrong(files.key, fmt::format("is not the key of the certificate in {}", files.certificate));
  }
  for (const CertificatePtr& certificate : chain) {
    read.not_before = std::max(read.not_before, TimeOf(X509_get0_notBefore(certificate.get())));
    read.not_after = std::min(read.not_after, TimeOf(X509_get0_notAfter(certificate.get())));
  }
  const auto clients = read.ca.empty() ? ClientCertificates::kNone : ClientCertificates::kAccept;
  if (absl::Status used = NewServerContext(read, clients).status(); !used.ok()) {
    return Wrong(files.certificate, std::string(used.message()));
  }
  return read;
}

absl::StatusOr<ContextPtr> NewServerContext(const Credentials& credentials, ClientCertificates clients) {
  ContextPtr context(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context.get(), kCipherSuites12);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);  // 34 KiB less for a connection that is idle
  // Else nobody who has shown a certificate could take a session up again. A new context has new keys for sessions, so
  // that nothing outlives the CA that it was let in by.
  constexpr unsigned char kSessions[] = "waybill";
  SSL_CTX_set_session_id_context(context.get(), kSessions, sizeof(kSessions) - 1);
  if (absl::Status used = UseCertificate(context.get(), credentials); !used.ok()) return used;
  if (clients == ClientCertificates::kNone) return context;
  if (absl::Status believed = BelieveCa(context.get(), credentials.ca); !believed.ok()) return believed;
  const int required = clients == ClientCertificates::kRequire ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | required, nullptr);
  return context;
}

}  // namespace waybill::tls
