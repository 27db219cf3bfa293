#include "edge/tls/server_context.h"

#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

namespace waybill::tls {
namespace {

struct FreeNames {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

// Only "http/1.1", in the form that ALPN has.
int ChooseProtocol(SSL*, const unsigned char** chosen, unsigned char* chosen_size, const unsigned char* offered,
                   unsigned offered_size, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, chosen_size, kHttp11, sizeof(kHttp11) - 1, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

void AddName(const ASN1_STRING* name, std::vector<std::string>& names) {
  std::string text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name)),
                   static_cast<size_t>(ASN1_STRING_length(name)));
  if (IsNameOfAKey(text)) names.push_back(std::move(text));
}

}  // namespace

bool IsNameOfAKey(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) { return c >= ' ' && c <= '~'; });
}

std::shared_ptr<boost::asio::ssl::context> ServerContext::current() {
  std::shared_ptr<const Credentials> credentials = watcher_.current();
  std::lock_guard lock(mutex_);
  if (credentials == made_of_) return context_;
  absl::StatusOr<ContextPtr> made = NewServerContext(*credentials, clients_);
  if (made.ok()) {  // else OpenSSL refuses what ReadCredentials found fit: then those before
    SSL_CTX_set_alpn_select_cb(made->get(), ChooseProtocol, nullptr);
    context_ = std::make_shared<boost::asio::ssl::context>(made->release());
  }
  made_of_ = std::move(credentials);
  return context_;
}

std::vector<std::string> VerifiedNames(const SSL* connection) {
  std::vector<std::string> names;
  const X509* certificate = SSL_get0_peer_certificate(connection);
  if (certificate == nullptr || SSL_get_verify_result(connection) != X509_V_OK) return names;
  const std::unique_ptr<GENERAL_NAMES, FreeNames> alternative(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (const int type : {GEN_URI, GEN_DNS}) {
    for (int i = 0; i < sk_GENERAL_NAME_num(alternative.get()); ++i) {
      const GENERAL_NAME* name = sk_GENERAL_NAME_value(alternative.get(), i);
      if (name->type == type) AddName(name->d.ia5, names);
    }
  }
  if (alternative != nullptr) return names;  // who issues by those may not have looked at the common name
  const X509_NAME* subject = X509_get_subject_name(certificate);
  for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) {
    AddName(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), names);
  }
  return names;
}

}  // namespace waybill::tls
