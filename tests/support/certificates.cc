#include "tests/support/certificates.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <fstream>

#include "fmt/format.h"

namespace waybill::testing {
namespace {

void Must(bool done) {
  if (!done) std::abort();
}

template <typename Write>
std::string ToPem(Write write) {
  BIO* bio = BIO_new(BIO_s_mem());
  Must(write(bio) == 1);
  char* data = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(bio, &data));
  std::string pem(data, size);
  BIO_free(bio);
  return pem;
}

void SetTime(ASN1_TIME* time, absl::Time to) { Must(ASN1_TIME_set(time, absl::ToTimeT(to)) != nullptr); }

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  Must(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

// Without its signature. `issuer` null: by itself.
X509* NewCertificate(const std::string& common_name, EVP_PKEY* key, X509* issuer) {
  X509* certificate = X509_new();
  Must(X509_set_version(certificate, 2) == 1);
  unsigned char serial[8];
  Must(RAND_bytes(serial, sizeof(serial)) == 1);
  serial[0] &= 0x7f;
  BIGNUM* number = BN_bin2bn(serial, sizeof(serial), nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
  BN_free(number);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer != nullptr ? issuer : certificate));
  X509_set_pubkey(certificate, key);
  return certificate;
}

}  // namespace

TestCa::TestCa(const std::string& common_name) : key_(EVP_EC_gen("P-256")) {
  ca_.reset(NewCertificate(common_name, key_.get(), nullptr));
  SetTime(X509_getm_notBefore(ca_.get()), absl::Now() - absl::Hours(24 * 30));
  SetTime(X509_getm_notAfter(ca_.get()), absl::Now() + absl::Hours(24 * 30));
  AddExtension(ca_.get(), ca_.get(), NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(ca_.get(), ca_.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(ca_.get(), ca_.get(), NID_subject_key_identifier, "hash");
  Must(X509_sign(ca_.get(), key_.get(), EVP_sha256()) > 0);
  certificate_ = ToPem([this](BIO* bio) { return PEM_write_bio_X509(bio, ca_.get()); });
}

Issued TestCa::Issue(const CertificateRequest& request) const {
  const std::unique_ptr<EVP_PKEY, Free> key(
      request.rsa_bits == 0 ? EVP_EC_gen("P-256") : EVP_RSA_gen(static_cast<unsigned>(request.rsa_bits)));
  const std::unique_ptr<X509, Free> certificate(NewCertificate(request.common_name, key.get(), ca_.get()));
  SetTime(X509_getm_notBefore(certificate.get()), request.not_before);
  SetTime(X509_getm_notAfter(certificate.get()), request.not_after);
  if (!request.names.empty()) {
    AddExtension(certificate.get(), ca_.get(), NID_subject_alt_name, fmt::format("{}", fmt::join(request.names, ",")));
  }
  AddExtension(certificate.get(), ca_.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  Must(X509_sign(certificate.get(), key_.get(), EVP_sha256()) > 0);
  Issued issued;
  issued.certificate = ToPem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); });
  issued.key =
      ToPem([&](BIO* bio) { return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
  return issued;
}

void ReplaceFile(const std::filesystem::path& path, std::string_view text) {
  const std::filesystem::path fresh = path.string() + ".new";
  std::ofstream(fresh) << text;
  std::filesystem::permissions(fresh, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  std::filesystem::rename(fresh, path);
}

}  // namespace waybill::testing
