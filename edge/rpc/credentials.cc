#include "edge/rpc/credentials.h"

#include <list>
#include <string>
#include <utility>

#include "grpc/grpc.h"
#include "grpc/grpc_security.h"

namespace waybill::rpc {
namespace {

grpc_ssl_client_certificate_request_type RequestOf(tls::ClientCertificates clients) {
  switch (clients) {
    case tls::ClientCertificates::kNone:
      return GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
    case tls::ClientCertificates::kAccept:
      return GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY;
    case tls::ClientCertificates::kRequire:
      break;
  }
  return GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
}

// gRPC's core asks for the certificates at each connection. The C++ API has no way to say so; its own way, files that
// gRPC watches itself, gives up what it has before it has looked whether the new key and certificate belong together.
class CurrentCredentials final : public grpc::ServerCredentials {
 public:
  CurrentCredentials(const tls::Watcher& watcher, tls::ClientCertificates clients)
      : watcher_(watcher), clients_(clients) {}

  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}  // the edge does this

 private:
  // What a port has been given. gRPC locks it.
  struct Port {
    const tls::Watcher& watcher;
    std::shared_ptr<const tls::Credentials> given;
  };

  int AddPortToServer(const std::string& address, grpc_server* server) override {
    Port& port = ports_.emplace_back(Port{watcher_, nullptr});
    grpc_server_credentials* credentials = grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(RequestOf(clients_), &Fetch, &port));
    const int bound = grpc_server_add_http2_port(server, address.c_str(), credentials);
    grpc_server_credentials_release(credentials);
    return bound;
  }

  static grpc_ssl_certificate_config_reload_status Fetch(void* data, grpc_ssl_server_certificate_config** config) {
    Port& port = *static_cast<Port*>(data);
    std::shared_ptr<const tls::Credentials> current = port.watcher.current();
    if (current == port.given) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair = {current->key.c_str(), current->certificate.c_str()};
    // gRPC asserts that there are roots, also where it asks no client for a certificate and never looks at them.
    const std::string& roots = current->ca.empty() ? current->certificate : current->ca;
    *config = grpc_ssl_server_certificate_config_create(roots.c_str(), &pair, 1);
    port.given = std::move(current);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const tls::Watcher& watcher_;
  const tls::ClientCertificates clients_;
  std::list<Port> ports_;  // gRPC has their addresses
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const tls::Watcher& watcher,
                                                               tls::ClientCertificates clients) {
  return std::make_shared<CurrentCredentials>(watcher, clients);
}

std::shared_ptr<grpc::ChannelCredentials> MakeChannelCredentials(const tls::Credentials& credentials) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = credentials.ca;
  options.pem_private_key = credentials.key;
  options.pem_cert_chain = credentials.certificate;
  return grpc::SslCredentials(options);
}

}  // namespace waybill::rpc
