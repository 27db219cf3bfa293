// waybill-ingest: reading this shows the whole service. Everything is built here and handed to the next.
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
#include "runtime/scheduler.h"
#include "runtime/shutdown.h"
#include "runtime/worker_pool.h"
#include "services/ingest/clock_check.h"
#include "services/ingest/grpc_location_service.h"
#include "services/ingest/housekeeping.h"
#include "services/ingest/served_methods.h"
#include "services/ingest/service_options.h"
#include "services/process/audit.h"
#include "services/process/exposure.h"
#include "services/process/identity.h"
#include "services/process/limits.h"
#include "services/process/startup.h"
#include "services/process/tracing.h"
#include "storage/postgres/audit_log.h"
#include "storage/postgres/location_history.h"
#include "storage/postgres/location_log.h"
#include "storage/postgres/location_partitions.h"
#include "storage/postgres/pool.h"
#include "storage/postgres/rights.h"
#include "storage/redis/probe.h"
#include "storage/redis/redis_fleet.h"
#include "storage/redis/redis_hot_view.h"

namespace waybill::ingest {
namespace {

void AddGauges(Metrics& metrics, const storage::PostgresLocationLog& history, const HotViewFeeder& feeder,
               const Ingest& ingest, const LocationStreams& streams, const WorkerPool& view_workers,
               const WorkerPool& history_workers) {
  metrics.AddCallbackGauge("waybill_location_queue_depth", "Points waiting for the next commit.",
                           [&history] { return static_cast<double>(history.queue_depth()); });
  metrics.AddCallbackGauge("waybill_location_log_stalled", "1 while Postgres does not take what is written.",
                           [&history] { return history.stalled() ? 1.0 : 0.0; });
  metrics.AddCallbackGauge("waybill_location_bad_partitions",
                           "Days that Postgres takes no points for, while it takes those of others.",
                           [&history] { return static_cast<double>(history.bad_days().size()); });
  metrics.AddCallbackGauge("waybill_hot_view_backlog", "Durable points waiting to be published to Redis.",
                           [&feeder] { return static_cast<double>(feeder.backlog()); });
  metrics.AddCallbackGauge("waybill_location_streams_waiting", "Streams not read from, because a queue is full.",
                           [&ingest] { return static_cast<double>(ingest.waiting()); });
  metrics.AddCallbackGauge("waybill_location_held",
                           "Points that streams have parked, and rejections that their clients have not read.",
                           [&streams] { return static_cast<double>(streams.held()); });
  metrics.AddCallbackGauge("waybill_workers_queue_depth", "Reads waiting for a worker.",
                           [&view_workers, &history_workers] {
                             return static_cast<double>(view_workers.queue_depth() + history_workers.queue_depth());
                           });
}

Chore LookAtRedisChore(const storage::RedisUrl& url, const Logger& log) {
  auto look = [&url, log = log.For("storage.redis")]() -> absl::StatusOr<absl::Duration> {
    storage::RedisConnection connection(url, storage::RedisOptions());
    auto settings = storage::SettingsThatLoseDrivers(connection);
    if (!settings.ok()) return settings.status();
    for (const std::string& setting : *settings) log.Warn("redis would lose drivers", {{"setting", setting}});
    return absl::Hours(1);
  };
  return {"looking at the settings of Redis", look, absl::Seconds(30)};
}

int Serve(const ServiceOptions& options, const Clock& clock, const Logger& log, StopRequest& stop,
          process::ProcessAudit& process_audit) {
  const std::string instance = process::InstanceName(options.listen);
  process_audit.SetInstance(instance);
  const rpc::GrpcLog grpc_log(clock, log);
  Metrics metrics;
  AddProcessMetrics(metrics);
  AddBuildInfo(metrics, "waybill-ingest", ThisBuild());
  IngestMetrics counts(metrics);
  const ThreadLoops loops;
  SeededRandom random(EntropySeed());

  auto tracing =
      process::Tracing::Open(options.tracing, "waybill-ingest", instance, ThisBuild(), clock, random, metrics, log);
  if (!tracing.ok()) return process::Fail(log, "cannot trace", tracing.status());
  Tracer* const tracer = (*tracing)->tracer();
  (*tracing)->Start(loops);

  // Stores. Nothing connects yet.
  auto redis_url = storage::RedisUrl::Parse(options.redis_url);
  if (!redis_url.ok()) return process::Fail(log, "bad --redis-url", redis_url.status());
  storage::RedisHotViewOptions view_options;
  view_options.stream_max = options.stream_max;
  view_options.redis.tracer = tracer;
  storage::RedisHotView view(*redis_url, view_options);
  storage::RedisFleetOptions fleet_options;
  fleet_options.redis.tracer = tracer;
  auto fleet = std::make_unique<storage::RedisFleet>(*redis_url, fleet_options, loops);
  storage::PoolOptions read_pool;
  read_pool.size = static_cast<size_t>(options.workers) + 1;  // one for readiness
  // One that hangs, and was begun at the end of a drain, is over before the watchdog loses its patience.
  storage::ConnectionOptions read_connection = storage::ReadConnectionOptions();
  read_connection.statement_timeout = absl::Seconds(8);
  storage::Pool reads(options.database_url, read_connection, read_pool);
  storage::PostgresLocationHistory history(reads);
  // For rebuilding the hot view: in parts that are small enough, however busy the database is.
  storage::ConnectionOptions part_connection = storage::ReadConnectionOptions();
  part_connection.statement_timeout = absl::Seconds(3);
  storage::Pool part_reads(options.database_url, part_connection, storage::PoolOptions{1});
  storage::PostgresLocationHistory rebuild_history(part_reads);

  auto limits = process::CallLimits::Open("ingest", options.limits, ServedMethods(), *redis_url, clock, metrics, log);
  if (!limits.ok()) return process::Fail(log, "cannot hold limits", limits.status());
  auto certificates = process::WatchCertificates("server", options.exposure.tls, clock, log, metrics);
  if (!certificates.ok()) return process::Fail(log, "cannot serve over TLS", certificates.status());

  // The side port comes first: while Postgres is awaited, it says so.
  Readiness readiness(clock);
  readiness.AwaitServing();
  readiness.Add("postgres", Readiness::Severity::kRequired, absl::Seconds(2), [&history] { return history.Ping(); });
  readiness.Add("redis", Readiness::Severity::kDegraded, absl::Seconds(2), [&view] { return view.Ping(); });
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
  connect::Server connect(clock, metrics, connect_options);
  http::ServerOptions http_options;
  http_options.listen = options.side_listen;
  http_options.connections_per_address_max = options.exposure.side_connections_per_address;
  http_options.tls = process::SideTls(options.exposure, certificates->get());
  auto side_port = http::Server::Start(http_options, metrics, log);
  if (!side_port.ok()) return process::Fail(log, "cannot open the side port", side_port.status());
  http::AddProbes(**side_port, metrics, readiness);
  if (process::SideTakesCalls(options.exposure)) connect.ServeOn(**side_port);

  absl::Status schema = process::AwaitDatabase(options.database_url, storage::IngestRights(), options.migrate,
                                               options.store_wait, clock, stop, log);
  if (schema.code() == absl::StatusCode::kCancelled) return 0;
  if (!schema.ok()) return process::Fail(log, "cannot use the database", schema);

  if (absl::Status read = (*identity)->ReadKeys(); !read.ok()) {
    return process::Fail(log, "cannot read the keys of callers", read);
  }

  // A point's way: intake, history, hot view.
  std::unique_ptr<Ingest> ingest;  // below; the stores' threads wake it
  const auto wake = [&ingest] { ingest->WakeWaiting(); };
  HotViewOptions hot_view_options = options.hot_view;
  hot_view_options.drivers_max = options.drivers_max;
  HotViewFeeder feeder(view, rebuild_history, counts, clock, log, hot_view_options, wake);
  storage::LocationLogOptions log_options;
  log_options.writers = options.writers;
  log_options.batch_max = options.batch_max;
  log_options.tracer = tracer;
  log_options.on_commit = [&counts, wake](const storage::LocationCommit& commit) {
    counts.Committed(commit);
    wake();
  };
  const Logger history_log = log.For("storage.postgres");
  log_options.on_error = [&history_log](const absl::Status& status) {
    history_log.Warn("history was not written", {{"error", std::string(status.message())}});
  };
  log_options.on_bad_day = [&history_log](const storage::BadDay& bad) {
    const std::string day = storage::DayText(bad.day);
    if (bad.why.ok()) {
      history_log.Info("a day of history is written again", {{"day", day}});
    } else {
      history_log.Warn(bad.refused ? "points of a day are refused" : "points of a day are sent back",
                       {{"day", day}, {"error", std::string(bad.why.message())}});
    }
  };
  log_options.on_day_forgotten = [&history_log](absl::CivilDay day) {
    history_log.Info("points of a bad day do not come any more", {{"day", storage::DayText(day)}});
  };
  storage::PostgresLocationLog location_log(options.database_url, log_options, loops);
  ClockCheck clocks(clock, log);
  const Chore compare_clocks = CompareClocksChore([&history] { return history.Now(); }, clocks, clock, {});
  (void)compare_clocks.run();  // before any point comes; again and again below
  DriverFront front(options.sanity, options.drivers_max);
  const Intake intake(options.intake);
  ingest = std::make_unique<Ingest>(location_log, feeder, intake, front, clocks, counts, clock, options.ingest);
  feeder.Start(loops);

  // What does not take a replica out of traffic, since no other is better off.
  readiness.Add("clock", Readiness::Severity::kDegraded, absl::Seconds(1), [&clocks] { return clocks.Verdict(); });
  readiness.Add("history_days", Readiness::Severity::kDegraded, absl::Seconds(1), [&location_log] {
    // One that refuses is somebody's intention, and stays so.
    for (const storage::BadDay& bad : location_log.bad_days()) {
      if (!bad.refused) return bad.why;
    }
    return absl::OkStatus();
  });

  // What callers see.
  WorkerPool view_workers(static_cast<size_t>(options.workers), 10'000);
  WorkerPool history_workers(static_cast<size_t>(options.workers), 10'000);
  ThreadScheduler scheduler(clock);
  StreamOptions stream_options = options.streams;
  stream_options.tracer = tracer;
  LocationStreams streams(*ingest, counts, clock, scheduler, stream_options);
  LocationApi api(view, *fleet, history, feeder, view_workers, history_workers, clock);
  // Of their own: watches that are behind read page after page, and GetDriver does not wait for that.
  WorkerPool catching_up(2, options.watches.watches_max);
  LocationWatches watches(view, catching_up, counts, options.watches);
  watches.Start(loops);
  rpc::ServerOptions server_options;
  server_options.gate = &(*identity)->gate();
  server_options.limiter = (*limits)->limiter();
  server_options.tracer = tracer;
  server_options.address = options.listen;
  server_options.queues = options.queues;
  server_options.reflection = process::HasReflection(options.exposure, options.listen);
  if (*certificates) {
    server_options.credentials =
        rpc::MakeServerCredentials(**certificates, process::ClientCertificatesOf(options.exposure));
  }
  rpc::Server server(server_options, metrics);
  for (rpc::Server* edge : {&server, &connect.server()}) AddLocationService(*edge, *ingest, streams, api, watches);
  AddGauges(metrics, location_log, feeder, *ingest, streams, view_workers, history_workers);
  process::AddPoolMetrics(metrics, {{"read", &reads}});

  storage::Pool audits(options.database_url, storage::WriteConnectionOptions(), storage::PoolOptions{1});
  storage::PostgresAuditLog audit(audits, audits);
  PartitionOptions partition_options;
  partition_options.ahead = options.partitions_ahead;
  partition_options.retention = options.intake.retention;
  PartitionKeeper partitions(options.database_url, clock, log, counts, partition_options);
  metrics.AddCallbackGauge("waybill_clock_behind_postgres_seconds",
                           "By how much this host's clock is behind Postgres's; 0 within 5 seconds.",
                           [&clocks] { return absl::ToDoubleSeconds(clocks.store_ahead()); });
  metrics.AddCallbackGauge("waybill_clock_behind_fleet", "1 while nearly all drivers report points of the future.",
                           [&clocks] { return clocks.fleet_ahead() ? 1.0 : 0.0; });
  Chores clock_comparing({compare_clocks}, clock, log);  // not behind a drop that waits
  Chores partition_keeping({KeepPartitionsChore(partitions, {})}, clock, log);
  Chores sweeping({SweepChore(*fleet, {}), LookAtRedisChore(*redis_url, log)}, clock, log);
  std::vector<Chore> watching = {process_audit.WriteChore(audit)};
  process::AddMetrics(metrics, process_audit);
  if (*certificates) watching.push_back(tls::WatchChore(**certificates));
  Chores beside(std::move(watching), clock, log);
  beside.Start(loops);
  (*identity)->OnChange([&server, &connect] {
    server.CheckCallers();
    connect.server().CheckCallers();
  });
  clock_comparing.Start(loops);
  partition_keeping.Start(loops);
  sweeping.Start(loops);

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
    stop.Wait();
  } else {
    exit_code = process::Fail(log, "cannot serve", started);
  }

  // Draining: what was read is made durable and acked, then the clients are sent elsewhere.
  log.Info("draining", {{"queued", location_log.queue_depth()}});
  const SteadyTime deadline = clock.Steady() + options.drain;
  StopWatchdog watchdog(options.drain + absl::Seconds(10), log);
  readiness.SetDraining();
  server.SendAway();  // before streams and watches end, so that their clients do not come back here
  connect.SendAway();
  (*side_port)->SetDraining();
  streams.Drain();
  watches.Stop();
  server.Drain(deadline);
  connect.Drain(deadline);
  scheduler.Stop();
  (*limits)->Stop();
  (*identity)->Stop();
  sweeping.Stop();
  clock_comparing.Stop();
  beside.Stop();
  partitions.Stop();
  partition_keeping.Stop();
  location_log.Stop();
  process_audit.WriteLast(audit, log);
  feeder.Stop();
  catching_up.Stop();
  view_workers.Stop();  // first: they hand on to the others
  history_workers.Stop();
  (*tracing)->Stop(deadline);
  side_port->reset();  // scrapes read what is about to go
  readiness.Stop();
  fleet.reset();
  log.Info("stopped", {});
  return exit_code;
}

}  // namespace
}  // namespace waybill::ingest

int main(int argc, char** argv) {
  using namespace waybill::ingest;  // NOLINT(google-build-using-namespace): this file is the service's own main
  return waybill::process::RunService<ServiceOptions>(
      {"waybill-ingest", "WAYBILL_INGEST_", DeclareSettings, FinishSettings, waybill::ThisBuild()}, argc, argv, Serve);
}
