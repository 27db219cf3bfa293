#include "bench/guard.h"

#include <atomic>
#include <fstream>

#include "absl/strings/escaping.h"
#include "absl/time/time.h"
#include "bench/child.h"
#include "domain/access.h"
#include "edge/access/key.h"
#include "edge/access/key_admin.h"
#include "edge/rpc/credentials.h"
#include "fmt/format.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"
#include "runtime/clock.h"
#include "storage/postgres/key_store.h"
#include "storage/postgres/pool.h"

namespace waybill::bench {
namespace {

namespace fs = std::filesystem;
namespace otlp = opentelemetry::proto::collector::trace::v1;

constexpr absl::Duration kMakeTimeout = absl::Seconds(30);
constexpr size_t kHashKeyBytes = 32;
constexpr char kLimits[] =
    "[[limit]]\nname = \"all\"\nclient = \"*\"\nmethod = \"*\"\nlimit = 1000000\nperiod = \"1s\"\n";

absl::Status MakeCertificate(const fs::path& certificate, const fs::path& key, const fs::path& log) {
  auto openssl = Child::Start(
      "/usr/bin/openssl",
      {"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
       "/CN=waybill-bench", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate},
      log);
  if (!openssl.ok()) return openssl.status();
  return (*openssl)->Join(kMakeTimeout);
}

}  // namespace

// Takes what it is sent, and counts it.
class Guard::Collector final : public otlp::TraceService::Service {
 public:
  Collector() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~Collector() override {
    if (server_ != nullptr) server_->Shutdown();
  }
  int port() const { return port_; }  // 0: there is none
  int64_t spans() const { return spans_; }

 private:
  grpc::Status Export(grpc::ServerContext*, const otlp::ExportTraceServiceRequest* request,
                      otlp::ExportTraceServiceResponse*) override {
    for (const auto& resource : request->resource_spans()) {
      for (const auto& scope : resource.scope_spans()) spans_ += scope.spans_size();
    }
    return grpc::Status::OK;
  }

  std::atomic<int64_t> spans_{0};
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

int64_t Guard::spans() const { return collector_->spans(); }

absl::StatusOr<Guard> Guard::Make(const fs::path& folder) {
  const fs::path certificate = folder / "guard.pem", key = folder / "guard.key", hash = folder / "guard.hash";
  const fs::path limits = folder / "guard.toml";
  if (const absl::Status made = MakeCertificate(certificate, key, folder / "guard.log"); !made.ok()) return made;
  std::ofstream hash_file(hash, std::ios::binary);
  hash_file << absl::BytesToHexString(access::SystemEntropy(kHashKeyBytes)) << std::flush;
  if (!hash_file) return absl::InternalError(fmt::format("cannot write {}", hash.string()));
  std::ofstream limits_file(limits);
  limits_file << kLimits << std::flush;
  if (!limits_file) return absl::InternalError(fmt::format("cannot write {}", limits.string()));
  Guard guard;
  guard.certificate_file_ = certificate;
  guard.hash_file_ = hash;
  guard.collector_ = std::make_shared<Collector>();
  if (guard.collector_->port() == 0) return absl::UnavailableError("no port for a collector of traces");
  guard.flags_ = {
      "--tls-certificate", certificate, "--tls-key",       key,
      "--identity",        "required",  "--key-hash-file", hash,
      "--limits-file",     limits,      "--otlp-endpoint", fmt::format("grpc://127.0.0.1:{}", guard.collector_->port()),
      "--trace-ratio",     "0.01"};
  return guard;
}

absl::StatusOr<Pass> Guard::IssuePass(const std::string& database_url) const {
  auto hash = access::KeyHash::FromFile(hash_file_);
  if (!hash.ok()) return hash.status();
  storage::Pool pool(database_url, {}, storage::PoolOptions{1});
  storage::PostgresKeyStore store(pool);
  const SystemClock clock;
  access::KeyAdmin admin(store, *hash, access::SystemEntropy, clock, [] {});
  access::KeyAdmin::Wanted wanted;
  wanted.name = wanted.client = "bench";
  for (const domain::Scope scope : {domain::Scope::kOrdersWrite, domain::Scope::kOrdersRead,
                                    domain::Scope::kLocationsWrite, domain::Scope::kLocationsRead}) {
    wanted.scopes.emplace_back(domain::Name(scope));
  }
  wanted.drivers = {"*"};
  auto made = admin.Create(wanted, {"waybill-bench"});
  if (!made.ok()) return made.status();
  tls::Files believed;
  believed.ca = certificate_file_;
  auto credentials = tls::ReadCredentials(believed);
  if (!credentials.ok()) return credentials.status();
  return Pass{rpc::MakeChannelCredentials(*credentials), "Bearer " + made->secret};
}

}  // namespace waybill::bench
