// TLS as gRPC takes it, from certificates that may change while the process runs.
#pragma once

#include <memory>

#include "edge/tls/credentials.h"
#include "edge/tls/watcher.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"

namespace waybill::rpc {

// Each connection gets what is current when it comes. `watcher` has a certificate, and a CA unless `clients` is kNone;
// it outlives the server, and so does what is answered here.
std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const tls::Watcher& watcher,
                                                               tls::ClientCertificates clients);

// For channels to a server whose certificate has the name, or address, that the channel is to, from `ca`, or, without
// one, from a CA that this machine believes. Shows the certificate, if there is one.
std::shared_ptr<grpc::ChannelCredentials> MakeChannelCredentials(const tls::Credentials& credentials);

}  // namespace waybill::rpc
