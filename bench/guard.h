// What stands before a service that strangers reach, and what its callers show to pass it: TLS, a key, and a limit that
// is never reached. For measuring what that costs beside the same service on its own.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/stage.h"
#include "grpcpp/client_context.h"
#include "grpcpp/security/credentials.h"

namespace waybill::bench {

// What a caller shows; of a service that runs open: nothing.
struct Pass {
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  std::string authorization;  // the header's value; "": none

  void Show(grpc::ClientContext& context) const {
    if (!authorization.empty()) context.AddMetadata("authorization", authorization);
  }
};

class Guard {
 public:
  // Writes a certificate for 127.0.0.1, made by openssl's command line, what keys are hashed under, and the limit, into
  // `folder`.
  static absl::StatusOr<Guard> Make(const std::filesystem::path& folder);

  // For the service. Its HTTP port is plain, for scrapes, or over TLS as well.
  std::vector<std::string> flags(bool plain_http = true) const;
  const std::string& certificate_file() const { return certificate_file_; }  // PEM, signed by itself
  // What is wrong with the proof that `service` was guarded: its limit judged by Redis, a key needed, calls traced.
  // Asked before it stops; its HTTP port is plain.
  std::vector<std::string> Doubts(const Server& service) const;
  // Of whoever may write and read orders and locations, of any driver. `database_url`: of the service, which starts
  // afterwards; migrated.
  absl::StatusOr<Pass> IssuePass(const std::string& database_url) const;

 private:
  class Collector;

  std::vector<std::string> flags_;
  std::shared_ptr<Collector> collector_;
  std::string certificate_file_;
  std::string hash_file_;
};

}  // namespace waybill::bench
