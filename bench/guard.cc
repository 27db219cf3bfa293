#include "bench/guard.h"

#include <atomic>
#include <chrono>
#include <fstream>

#include "absl/strings/escaping.h"
#include "absl/time/time.h"
#include "bench/child.h"
#include "bench/side_metrics.h"
#include "domain/access.h"
#include "edge/access/key.h"
#include "edge/access/key_admin.h"
#include "edge/rpc/credentials.h"
#include "fmt/format.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
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

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Believing(const std::string& certificate_file) {
  tls::Files believed;
  believed.ca = certificate_file;
  auto credentials = tls::ReadCredentials(believed);
  if (!credentials.ok()) return credentials.status();
  return rpc::MakeChannelCredentials(*credentials);
}

grpc::StatusCode AnswerWithoutAKey(const std::string& address,
                                   const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                                   const std::string& method) {
  grpc::GenericStub stub(grpc::CreateChannel(address, credentials));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  const grpc::Slice nothing;
  const grpc::ByteBuffer request(&nothing, 1);
  grpc::ByteBuffer answer;
  grpc::Status status;
  grpc::CompletionQueue queue;
  auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
  call->StartCall();
  call->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return status.error_code();
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

std::vector<std::string> Guard::flags(bool plain_http) const {
  std::vector<std::string> flags = flags_;
  if (plain_http) flags.insert(flags.end(), {"--expose-plain", "side"});
  return flags;
}

std::vector<std::string> Guard::Doubts(const Server& service) const {
  std::vector<std::string> doubts;
  const auto metric = [&](const char* name) { return ReadMetric(service.side_address, name).value_or(-1); };
  if (metric("waybill_limit_granted_total") <= 0) doubts.emplace_back("no call was let pass by a limit");
  if (metric("waybill_limit_unshared_total") != 0) doubts.emplace_back("limits were held without Redis");
  if (collector_->spans() == 0) doubts.emplace_back("the collector was sent no span");
  const auto credentials = Believing(certificate_file_);
  if (!credentials.ok()) return {std::string(credentials.status().message())};
  const std::string method = service.process->name() == "waybill-order"
                                 ? "/waybill.order.v1.OrderService/ListOrders"
                                 : "/waybill.location.v1.LocationService/GetDriver";
  if (AnswerWithoutAKey(service.address, *credentials, method) != grpc::StatusCode::UNAUTHENTICATED) {
    doubts.emplace_back("who shows no key was not refused");
  }
  return doubts;
}

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
  auto credentials = Believing(certificate_file_);
  if (!credentials.ok()) return credentials.status();
  return Pass{*std::move(credentials), "Bearer " + made->secret};
}

}  // namespace waybill::bench
