// Certificates for tests, made on the fly: a CA, and whatever it is asked to sign.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace waybill::testing {

// PEM.
struct Issued {
  std::string certificate;
  std::string key;
};

struct CertificateRequest {
  std::string common_name = "localhost";
  std::vector<std::string> names = {"DNS:localhost", "IP:127.0.0.1"};  // alternative ones, as OpenSSL writes them
  absl::Time not_before = absl::Now() - absl::Hours(1);
  absl::Time not_after = absl::Now() + absl::Hours(24);
  int rsa_bits = 0;  // 0: P-256
};

// Keys are of P-256, so that a test makes as many as it likes.
class TestCa {
 public:
  explicit TestCa(const std::string& common_name = "Waybill test CA");

  const std::string& certificate() const { return certificate_; }  // PEM
  Issued Issue(const CertificateRequest& request = {}) const;

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  std::unique_ptr<EVP_PKEY, Free> key_;
  std::unique_ptr<X509, Free> ca_;
  std::string certificate_;
};

// The file has the old text or the new one, at any time, and only its owner may read it.
void ReplaceFile(const std::filesystem::path& path, std::string_view text);

}  // namespace waybill::testing
