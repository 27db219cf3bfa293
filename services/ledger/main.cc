// waybill-ledger: reading this shows the whole service. Everything is built here and handed to the next.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "edge/connect/protocol.h"
#include "edge/connect/server.h"
#include "edge/http/probes.h"
#include "edge/http/server.h"
#include "edge/rpc/credentials.h"
#include "edge/rpc/grpc_log.h"
#include "edge/rpc/server.h"
#include "edge/tls/watcher.h"
#include "runtime/build.h"
#include "runtime/chores.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/readiness.h"
#include "runtime/shutdown.h"
#include "runtime/worker_pool.h"
#include "services/ledger/broker_queues.h"
#include "services/ledger/broker_settings.h"
#include "services/ledger/chores.h"
#include "services/ledger/grpc_ledger_admin.h"
#include "services/ledger/grpc_ledger_service.h"
#include "services/ledger/ledger_metrics.h"
#include "services/ledger/served_methods.h"
#include "services/ledger/service_options.h"
#include "services/process/audit.h"
#include "services/process/exposure.h"
#include "services/process/identity.h"
#include "services/process/limits.h"
#include "services/process/startup.h"
#include "services/process/tracing.h"
#include "storage/postgres/audit_log.h"
#include "storage/postgres/ledger_store.h"
#include "storage/postgres/pool.h"
#include "storage/postgres/rights.h"
#include "storage/redis/redis_balance_cache.h"

namespace waybill::ledger {
namespace {

int Serve(const ServiceOptions& options, const Clock& clock, const Logger& log, StopRequest& stop,
          process::ProcessAudit& process_audit) {
  const std::string instance = process::InstanceName(options.listen);
  process_audit.SetInstance(instance);
  const rpc::GrpcLog grpc_log(clock, log);
  Metrics metrics;
  AddProcessMetrics(metrics);
  AddBuildInfo(metrics, "waybill-ledger", ThisBuild());
  LedgerMetrics counts(metrics);
  const ThreadLoops loops;
  SeededRandom random(EntropySeed());

  auto tracing =
      process::Tracing::Open(options.tracing, "waybill-ledger", instance, ThisBuild(), clock, random, metrics, log);
  if (!tracing.ok()) return process::Fail(log, "cannot trace", tracing.status());
  Tracer* const tracer = (*tracing)->tracer();
  (*tracing)->Start(loops);

  // The store. Nothing connects yet.
  auto redis_url = storage::RedisUrl::Parse(options.redis_url);
  if (!redis_url.ok()) return process::Fail(log, "bad --redis-url", redis_url.status());
  storage::PoolOptions read_pool;
  const size_t wallet_threads = options.wallets.client.empty() ? 0 : static_cast<size_t>(options.wallets.workers);
  read_pool.size = static_cast<size_t>(options.workers) + wallet_threads + 2;  // and readiness, and who verifies
  storage::Pool reads(options.database_url, storage::ReadConnectionOptions(), read_pool);
  storage::PoolOptions write_pool;
  write_pool.size = static_cast<size_t>(options.workers) + 2;  // accounts; and the chores
  storage::Pool writes(options.database_url, storage::WriteConnectionOptions(), write_pool);
  storage::LedgerStoreOptions store_options;
  store_options.writers = options.writers;
  store_options.batch_max = options.batch_max;
  store_options.queue_max = options.queue_max;
  store_options.accounts_max = options.accounts_max;
  store_options.on_commit = [&counts](size_t rows, absl::Duration took, bool careful) {
    counts.Committed(rows, took, careful);
  };
  const Logger store_log = log.For("storage.postgres");
  store_options.on_error = [&store_log, &counts](const absl::Status& status) {
    counts.Repeated();
    store_log.Warn("transfers were not written, and are tried again", {{"error", std::string(status.message())}});
  };
  storage::PostgresLedgerStore store({options.database_url, writes, reads, clock, random, loops},
                                     std::move(store_options));
  auto limits = process::CallLimits::Open("ledger", options.limits, ServedMethods(), *redis_url, clock, metrics, log);
  if (!limits.ok()) return process::Fail(log, "cannot hold limits", limits.status());
  auto certificates = process::WatchCertificates("server", options.exposure.tls, clock, log, metrics);
  if (!certificates.ok()) return process::Fail(log, "cannot serve over TLS", certificates.status());

  // The side port comes first: while Postgres is awaited, it says so.
  Readiness readiness(clock);
  readiness.AwaitServing();
  readiness.Add("postgres", Readiness::Severity::kRequired, absl::Seconds(2), [&store] { return store.Ping(); });
  (*limits)->AddCheck(readiness);
  process::AddCertificateCheck(readiness, "server", certificates->get());
  AddReadinessMetrics(metrics, readiness);
  auto identity = process::CallerIdentity::Open(options.identity, options.database_url, clock, log);
  if (!identity.ok()) return process::Fail(log, "cannot know callers", identity.status());
  (*identity)->AddMetrics(metrics);
  connect::ServerOptions connect_options;
  connect_options.gate = &(*identity)->gate();
  connect_options.limiter = (*limits)->limiter();
  connect_options.tracer = tracer;
  connect_options.origins = *connect::ParseOrigins(options.web_origins);
  connect_options.message_bytes_max = kRequestBytesMax;
  connect::Server connect(clock, metrics, connect_options);
  http::ServerOptions http_options;
  http_options.listen = options.side_listen;
  http_options.connections_per_address_max = options.exposure.side_connections_per_address;
  http_options.tls = process::SideTls(options.exposure, certificates->get());
  http_options.body_bytes_max = kRequestBytesMax + 1024;
  auto side_port = http::Server::Start(http_options, metrics, log);
  if (!side_port.ok()) return process::Fail(log, "cannot open the side port", side_port.status());
  http::AddProbes(**side_port, metrics, readiness);
  if (process::SideTakesCalls(options.exposure)) connect.ServeOn(**side_port);

  absl::Status schema = process::AwaitDatabase(options.database_url, storage::LedgerRights(), options.migrate,
                                               options.store_wait, clock, stop, log);
  if (schema.code() == absl::StatusCode::kCancelled) return 0;
  if (!schema.ok()) return process::Fail(log, "cannot use the database", schema);

  if (absl::Status read = (*identity)->ReadKeys(); !read.ok()) {
    return process::Fail(log, "cannot read the keys of callers", read);
  }

  // What callers see.
  WorkerPool workers(static_cast<size_t>(options.workers), 10'000);
  WorkerPool verifying(1, 1);  // minutes long, at worst
  Counterparts counterparts(store);
  storage::RedisOptions cache_options;
  cache_options.tracer = tracer;
  storage::RedisBalanceCache balances(*redis_url, cache_options);
  const LedgerService service{store, workers, counterparts, counts, clock, &balances};
  Verifier verifier(store, verifying, counts, clock, &balances);
  rpc::ServerOptions server_options;
  server_options.gate = &(*identity)->gate();
  server_options.limiter = (*limits)->limiter();
  server_options.tracer = tracer;
  server_options.address = options.listen;
  server_options.queues = options.queues;
  server_options.request_bytes_max = kRequestBytesMax;
  server_options.reflection = process::HasReflection(options.exposure, options.listen);
  if (*certificates) {
    server_options.credentials =
        rpc::MakeServerCredentials(**certificates, process::ClientCertificatesOf(options.exposure));
  }
  rpc::Server server(server_options, metrics);
  WalletGateway wallets(store, counterparts, options.wallets);
  // Of their own: they wait for each write, and reads shall not wait behind them.
  std::optional<WorkerPool> wallet_workers;
  if (wallet_threads > 0) wallet_workers.emplace(wallet_threads, 10'000);
  for (rpc::Server* edge : {&server, &connect.server()}) {
    AddLedgerService(*edge, service);
    AddLedgerAdmin(*edge, store, verifier, workers, clock);
    if (wallet_workers) AddWalletGateway(*edge, wallets, *wallet_workers);
  }
  // What others put into queues of RabbitMQ, if it is to be served.
  std::optional<BrokerMetrics> broker_metrics;
  std::optional<BrokerQueues> broker;
  if (std::optional<BrokerOptions> broker_options = *BrokerOptionsOf(options.broker)) {
    broker_metrics.emplace(metrics);
    broker.emplace(*std::move(broker_options), store, workers, clock, random, *broker_metrics, log);
    readiness.Add("rabbitmq", Readiness::Severity::kDegraded, absl::Seconds(1), [&broker] { return broker->Check(); });
  }
  metrics.AddCallbackGauge("waybill_ledger_queue_depth", "Transfers waiting for the next commit.",
                           [&store] { return static_cast<double>(store.queue_depth()); });
  metrics.AddCallbackGauge("waybill_ledger_writers_retrying", "Writers whose commit does not go through.",
                           [&store] { return static_cast<double>(store.retrying()); });
  metrics.AddCallbackGauge("waybill_workers_queue_depth", "Calls waiting for a worker.", [&workers, &wallet_workers] {
    const size_t wallets = wallet_workers ? wallet_workers->queue_depth() : 0;
    return static_cast<double>(workers.queue_depth() + wallets);
  });
  process::AddPoolMetrics(metrics, {{"read", &reads}, {"write", &writes}});

  storage::Pool audits(options.database_url, storage::WriteConnectionOptions(), storage::PoolOptions{1});
  storage::PostgresAuditLog audit(audits, audits);
  process::AddMetrics(metrics, process_audit);
  std::vector<Chore> watching = {process_audit.WriteChore(audit)};
  if (*certificates) watching.push_back(tls::WatchChore(**certificates));
  Chores beside(std::move(watching), clock, log);
  Chores expiring({ExpireChore(store, counts)}, clock, log);
  Chores sealing({SealChore(store, counts)}, clock, log);
  beside.Start(loops);
  expiring.Start(loops);
  sealing.Start(loops);
  (*identity)->OnChange([&server, &connect] {
    server.CheckCallers();
    connect.server().CheckCallers();
  });

  int exit_code = 0;
  (*limits)->Start(loops, stop, [&](const std::string& before, const std::string& after) {
    process_audit.Changed({"limits-file", before, ""}, {"limits-file", after, options.limits.file});
  });
  absl::Status started = server.Start();
  if (started.ok()) started = connect.Start();
  if (started.ok()) (*identity)->Start(loops);
  if (started.ok()) started = process::WritePortFile(options.port_file, server.port(), (*side_port)->port());
  if (started.ok()) {
    readiness.SetServing();
    log.Info("serving", {{"grpc_port", server.port()}, {"side_port", (*side_port)->port()}});
    process::WarnOfPlainPort(options.exposure, options.listen, log);
    if (broker) broker->Start(loops);
    stop.Wait();
  } else {
    exit_code = process::Fail(log, "cannot serve", started);
  }

  // Draining: clients are sent elsewhere, and what was taken is written and answered.
  log.Info("draining", {{"queued", store.queue_depth()}});
  const SteadyTime deadline = clock.Steady() + options.drain;
  StopWatchdog watchdog(options.drain + absl::Seconds(10), log);
  readiness.SetDraining();
  server.SendAway();
  connect.SendAway();
  (*side_port)->SetDraining();
  verifier.Stop();
  if (broker) broker->Stop(deadline);
  server.Drain(deadline);
  connect.Drain(deadline);
  (*limits)->Stop();
  (*identity)->Stop();
  expiring.Stop();
  sealing.Stop();
  beside.Stop();
  store.Stop();  // its last answers still go to the workers
  if (wallet_workers) wallet_workers->Stop();
  verifying.Stop();
  workers.Stop();
  process_audit.WriteLast(audit, log);
  (*tracing)->Stop(deadline);
  side_port->reset();  // scrapes read what is about to go
  readiness.Stop();
  log.Info("stopped", {});
  return exit_code;
}

}  // namespace
}  // namespace waybill::ledger

int main(int argc, char** argv) {
  using namespace waybill::ledger;  // NOLINT(google-build-using-namespace): this file is the service's own main
  return waybill::process::RunService<ServiceOptions>(
      {"waybill-ledger", "WAYBILL_LEDGER_", DeclareSettings, FinishSettings, waybill::ThisBuild()}, argc, argv, Serve);
}
