// waybill-order: reading this shows the whole service. Everything is built here and handed to the next.
#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "edge/access/key_admin.h"
#include "edge/connect/protocol.h"
#include "edge/connect/server.h"
#include "edge/http/probes.h"
#include "edge/http/server.h"
#include "edge/rpc/client.h"
#include "edge/rpc/credentials.h"
#include "edge/rpc/grpc_log.h"
#include "edge/rpc/server.h"
#include "edge/tls/watcher.h"
#include "fmt/format.h"
#include "runtime/build.h"
#include "runtime/chores.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/ids.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/readiness.h"
#include "runtime/scheduler.h"
#include "runtime/shutdown.h"
#include "runtime/worker_pool.h"
#include "services/order/assess_risk.h"
#include "services/order/builtin_gateway.h"
#include "services/order/dead_letter_api.h"
#include "services/order/dead_letter_gauges.h"
#include "services/order/fleet_api.h"
#include "services/order/gateway_webhooks.h"
#include "services/order/gateways.h"
#include "services/order/grpc_access_admin.h"
#include "services/order/grpc_audit_admin.h"
#include "services/order/grpc_dead_letter_admin.h"
#include "services/order/grpc_fleet_service.h"
#include "services/order/grpc_gateway_admin.h"
#include "services/order/grpc_order_service.h"
#include "services/order/grpc_payment_service.h"
#include "services/order/grpc_payout_service.h"
#include "services/order/grpc_reconciliation_service.h"
#include "services/order/grpc_risk_admin.h"
#include "services/order/grpc_saga_admin.h"
#include "services/order/grpc_webhook_inbox_admin.h"
#include "services/order/grpc_webhook_service.h"
#include "services/order/nearest_driver_dispatch.h"
#include "services/order/open_cases.h"
#include "services/order/order_core.h"
#include "services/order/order_metrics.h"
#include "services/order/pay_out.h"
#include "services/order/payment_api.h"
#include "services/order/payout_api.h"
#include "services/order/place_order.h"
#include "services/order/refund_order.h"
#include "services/order/remote_dispatch.h"
#include "services/order/remote_gateway.h"
#include "services/order/remote_payout_gateway.h"
#include "services/order/risk_api.h"
#include "services/order/risk_rules.h"
#include "services/order/served_methods.h"
#include "services/order/service_options.h"
#include "services/order/take_payment.h"
#include "services/order/webhook_api.h"
#include "services/order/webhook_sender.h"
#include "services/process/audit.h"
#include "services/process/exposure.h"
#include "services/process/identity.h"
#include "services/process/limits.h"
#include "services/process/startup.h"
#include "services/process/tracing.h"
#include "storage/postgres/audit_log.h"
#include "storage/postgres/dead_letter_store.h"
#include "storage/postgres/driver_store.h"
#include "storage/postgres/gateway_probe_store.h"
#include "storage/postgres/gateway_store.h"
#include "storage/postgres/order_store.h"
#include "storage/postgres/order_tables.h"
#include "storage/postgres/partial_refund_tables.h"
#include "storage/postgres/payment_store.h"
#include "storage/postgres/payment_summary_store.h"
#include "storage/postgres/payment_tables.h"
#include "storage/postgres/payout_store.h"
#include "storage/postgres/payout_tables.h"
#include "storage/postgres/pool.h"
#include "storage/postgres/reconciliation_store.h"
#include "storage/postgres/rights.h"
#include "storage/postgres/risk_store.h"
#include "storage/postgres/saga_journal.h"
#include "storage/postgres/webhook_inbox.h"
#include "storage/postgres/webhook_inbox_view.h"
#include "storage/postgres/webhook_store.h"
#include "storage/redis/redis_fleet.h"
#include "storage/redis/redis_payment_events.h"

namespace waybill::order {
namespace {

// The journal, as soon as Postgres answers and has the schema.
absl::StatusOr<std::unique_ptr<storage::PostgresSagaJournal>> OpenJournal(
    const ServiceOptions& options, const std::vector<const storage::SagaTables*>& tables, const saga::Kinds& kinds,
    storage::Pool& pool, const Loops& loops, const storage::SagaJournalOptions& journal_options,
    const saga::Lease& lease, const Clock& clock, StopRequest& stop, const Logger& log) {
  absl::Status ready = process::AwaitDatabase(options.database_url, storage::OrderRights(), options.migrate,
                                              options.store_wait, clock, stop, log);
  if (!ready.ok()) return ready;
  return storage::PostgresSagaJournal::Open(tables, kinds, lease, options.database_url, pool, loops, journal_options);
}

// Lists may look through many orders. They get threads and connections of their own, so that the way of the money never
// waits for them.
constexpr size_t kListWorkers = 2;
// They tell orders of webhooks, each with a commit of its own.
constexpr size_t kInboxWorkers = 2;
// They assess orders, each with a commit of its own; who waits for another one of the same user holds up no other work.
constexpr size_t kRiskWorkers = 4;
// How long a start waits for what an earlier life left, once it is looked for; a gateway that does not answer holds up
// nobody for longer. Drivers' books are compared before, which takes as long as they are large.
constexpr absl::Duration kCatchUpMax = absl::Milliseconds(300), kFirstLookMax = absl::Seconds(5);

// Moves what is booked into the sums; at once again while there is more.
Chore FoldChore(storage::PaymentSummaryStore& sums) {
  return {"folding payments into sums", [&sums]() -> absl::StatusOr<absl::Duration> {
            absl::StatusOr<bool> more = sums.Fold();
            if (!more.ok()) return more.status();
            return *more ? absl::Milliseconds(10) : absl::Seconds(1);
          }};
}

// A fold that stands still loses nothing, but summaries take ever longer.
class UnsummedGauges {
 public:
  explicit UnsummedGauges(Metrics& metrics)
      : entries_(metrics.AddGauge("waybill_payment_entries", "Movements of money that are not in the sums yet.")),
        oldest_(metrics.AddGauge("waybill_payment_entries_oldest_seconds",
                                 "Since the oldest of them; 0: all are in the sums.")) {}

  Chore CountChore(storage::PaymentSummaryStore& sums) {
    return EveryChore(absl::Seconds(15), "counting payments that are not in the sums", [this, &sums] {
      const absl::StatusOr<storage::PaymentSummaryStore::Unsummed> unsummed = sums.CountUnsummed();
      if (!unsummed.ok()) return unsummed.status();
      entries_.Set(static_cast<double>(unsummed->entries));
      oldest_.Set(absl::ToDoubleSeconds(unsummed->oldest));
      return absl::OkStatus();
    });
  }

 private:
  prometheus::Gauge& entries_;
  prometheus::Gauge& oldest_;
};

// `certificates` may be null: then those of this machine's CAs are believed.
std::vector<std::shared_ptr<grpc::Channel>> ChannelsTo(const std::string& participant,
                                                       const tls::Watcher* certificates) {
  if (participant.starts_with(kPlainScheme)) return {rpc::MakeChannel(participant.substr(kPlainScheme.size()))};
  return {rpc::MakeChannel(
      participant.substr(kTlsScheme.size()), rpc::Pings::kRare,
      rpc::MakeChannelCredentials(certificates == nullptr ? tls::Credentials() : *certificates->current()))};
}

std::unique_ptr<rpc::Client> ConnectTo(const std::string& participant, const tls::Watcher* certificates,
                                       rpc::ClientThread& thread) {
  if (participant == "builtin") return nullptr;
  return std::make_unique<rpc::Client>(thread, ChannelsTo(participant, certificates));
}

int Serve(const ServiceOptions& options, const Clock& clock, const Logger& log, StopRequest& stop,
          process::ProcessAudit& process_audit) {
  process_audit.SetInstance(options.instance);
  const rpc::GrpcLog grpc_log(clock, log);
  SeededRandom random(EntropySeed());
  IdGenerator ids(clock, random);

  Metrics metrics;
  AddProcessMetrics(metrics);
  AddBuildInfo(metrics, "waybill-order", ThisBuild());

  // Threads: those below and one for each loop.
  const ThreadLoops loops;
  ThreadScheduler scheduler(clock);
  WorkerPool workers(static_cast<size_t>(options.workers), 10'000);
  WorkerPool list_workers(kListWorkers, 1'000);
  WorkerPool reconciling(1, 1'000);        // minutes long, at worst
  WorkerPool dispatch_workers(2, 10'000);  // a read of the fleet alone holds up no order that wants the nearest driver

  auto tracing = process::Tracing::Open(options.tracing, "waybill-order", options.instance, ThisBuild(), clock, random,
                                        metrics, log);
  if (!tracing.ok()) return process::Fail(log, "cannot trace", tracing.status());
  Tracer* const tracer = (*tracing)->tracer();
  (*tracing)->Start(loops);

  // Stores. Nothing connects yet.
  auto redis_url = storage::RedisUrl::Parse(options.redis_url);
  if (!redis_url.ok()) return process::Fail(log, "bad --redis-url", redis_url.status());
  storage::RedisFleetOptions fleet_options;
  fleet_options.redis.tracer = tracer;
  auto fleet = std::make_unique<storage::RedisFleet>(*redis_url, fleet_options, loops);
  storage::PoolOptions read_pool;
  read_pool.size = static_cast<size_t>(options.workers) + 1;  // and the dispatch's questions
  storage::Pool reads(options.database_url, storage::ReadConnectionOptions(), read_pool);
  storage::PoolOptions claim_pool;
  claim_pool.size = options.gateway_webhooks_file.empty() ? 2 : 2 + kInboxWorkers;
  storage::Pool claims(options.database_url, storage::WriteConnectionOptions(), claim_pool);
  storage::PoolOptions scan_pool;
  scan_pool.size = kListWorkers + 2;  // and housekeeping, and the dispatch's comparisons
  storage::Pool scans(options.database_url, storage::ReadConnectionOptions(), scan_pool);
  storage::PostgresOrderStore store(reads, scans);
  storage::PoolOptions driver_pool;
  driver_pool.size = 2;
  storage::Pool drivers(options.database_url, storage::WriteConnectionOptions(), driver_pool);
  storage::PostgresDriverStore driver_store(drivers);
  auto limits = process::CallLimits::Open("order", options.limits, ServedMethods(), *redis_url, clock, metrics, log);
  if (!limits.ok()) return process::Fail(log, "cannot hold limits", limits.status());
  storage::PostgresAuditLog audit(drivers, scans);
  storage::PoolOptions reconciliation_pool;
  reconciliation_pool.size = 1 + kListWorkers + 1;  // a comparison, what callers ask, and the count of cases
  storage::Pool reconciliations(options.database_url, storage::ReconciliationConnectionOptions(), reconciliation_pool);
  storage::PostgresReconciliationStore reconciliation(reconciliations);
  storage::PoolOptions sum_pool;
  sum_pool.size = kListWorkers + 1;  // what callers ask, and who brings the sums up to date
  storage::Pool sum_connections(options.database_url, storage::PaymentSummaryConnectionOptions(), sum_pool);
  storage::PostgresPaymentSummaryStore payment_sums(sum_connections);
  WorkerPool summing(kListWorkers, 1'000);
  storage::PoolOptions webhook_pool;
  webhook_pool.size = kListWorkers + 2;  // what callers do with endpoints, deliveries, and their chores
  storage::Pool webhook_writes(options.database_url, storage::WriteConnectionOptions(), webhook_pool);
  storage::PostgresWebhookStore webhook_store(webhook_writes, scans);
  storage::WebhookInterest webhook_interest(clock);

  // TLS: our own certificate, and what participants are shown and believed by.
  auto certificates = process::WatchCertificates("server", options.exposure.tls, clock, log, metrics);
  if (!certificates.ok()) return process::Fail(log, "cannot serve over TLS", certificates.status());
  auto participant_certificates =
      process::WatchCertificates("participant", options.participant_tls, clock, log, metrics);
  if (!participant_certificates.ok()) {
    return process::Fail(log, "cannot call participants over TLS", participant_certificates.status());
  }

  // The side port comes first: while Postgres is awaited, it says so.
  Readiness readiness(clock);
  readiness.AwaitServing();
  readiness.Add("postgres", Readiness::Severity::kRequired, absl::Seconds(2), [&store] { return store.Ping(); });
  if (options.dispatch == "builtin") {
    readiness.Add("redis", Readiness::Severity::kDegraded, absl::Seconds(2), [&fleet] { return fleet->Ping(); });
  }
  (*limits)->AddCheck(readiness);
  process::AddCertificateCheck(readiness, "server", certificates->get());
  process::AddCertificateCheck(readiness, "participant", participant_certificates->get());
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

  // Participants, and the saga that calls them.
  OrderMetrics order_metrics(metrics);
  rpc::ClientThread client_thread;
  std::unique_ptr<rpc::Client> gateway_client =
      ConnectTo(options.payment_gateway, participant_certificates->get(), client_thread);
  std::unique_ptr<PaymentGateway> payments;
  if (gateway_client) {
    payments = std::make_unique<RemoteGateway>(*gateway_client);
  } else {
    payments = std::make_unique<BuiltinGateway>();
  }
  std::unique_ptr<rpc::Client> payout_client;
  std::unique_ptr<RemotePayoutGateway> payouts;
  if (!options.payout_gateway.empty()) {
    payout_client = ConnectTo(options.payout_gateway, participant_certificates->get(), client_thread);
    payouts = std::make_unique<RemotePayoutGateway>(*payout_client);
  }
  storage::PostgresGatewayStore gateway_store(drivers, reads);
  storage::PostgresGatewayProbeStore gateway_probes(drivers, reads);
  std::unique_ptr<Gateways> gateways;
  if (!options.gateways_file.empty()) {
    auto opened = Gateways::Open(
        options.gateways_file, client_thread,
        [&](const std::string& address) { return ChannelsTo(address, participant_certificates->get()); },
        [&] { return *participant_certificates ? (*participant_certificates)->current()->ca : std::string(); },
        gateway_store, gateway_probes, {options.instance, options.gateway_probe_every}, clock, random, metrics, log);
    if (!opened.ok()) return process::Fail(log, "cannot route orders", opened.status());
    gateways = *std::move(opened);
  }
  std::unique_ptr<rpc::Client> dispatch_client =
      ConnectTo(options.dispatch, participant_certificates->get(), client_thread);
  std::unique_ptr<Dispatch> dispatch;
  std::function<absl::Status()> reconcile;
  if (dispatch_client) {
    dispatch = std::make_unique<RemoteDispatch>(*dispatch_client);
  } else {
    NearestDriverOptions nearest;
    nearest.radius_m = options.dispatch_radius_m;
    nearest.on_candidates = [&order_metrics](size_t count) { order_metrics.Candidates(count); };
    auto builtin = std::make_unique<NearestDriverDispatch>(*fleet, store, dispatch_workers, clock, random, nearest);
    reconcile = [picker = builtin.get()] { return picker->Reconcile(); };
    dispatch = std::move(builtin);
  }
  // Rules of risk. What began with them goes on here without a file, too, if it was assessed.
  std::unique_ptr<RiskRules> risk_rules;
  if (!options.risk_file.empty()) {
    auto opened = RiskRules::Open(options.risk_file, log);
    if (!opened.ok()) return process::Fail(log, "cannot assess orders", opened.status());
    risk_rules = *std::move(opened);
  }
  const size_t risk_threads = risk_rules ? kRiskWorkers : 1;
  WorkerPool risk_workers(risk_threads, 10'000);
  storage::PoolOptions risk_pool;
  risk_pool.size = risk_threads;
  storage::Pool risk_writes(options.database_url, storage::RiskConnectionOptions(), risk_pool);
  storage::PostgresRiskStore risk_store(risk_writes, scans);
  RiskAssessor risk(
      risk_store, risk_workers, clock, metrics, [&risk_rules] { return risk_rules ? risk_rules->in_force() : nullptr; },
      [&gateways](const domain::Order& order) {
        if (gateways) gateways->routing().Drop(order);
      });
  const bool assesses = risk_rules != nullptr;
  std::vector<saga::Definition> definitions;
  // The builtin gateway has not taken what orders of before owe to another: without that one, these are left alone.
  if (!gateways || options.payment_gateway != "builtin") {
    definitions.push_back(PlaceOrder(*payments, *dispatch, clock, options.saga));
    definitions.push_back(PlaceAssessedOrder(risk, *payments, *dispatch, clock, assesses && !gateways, options.saga));
  }
  if (gateways) {
    definitions.push_back(PlaceRoutedOrder(gateways->routing(), *dispatch, clock, options.saga));
    definitions.push_back(
        PlaceCapturedOrder(gateways->routing(), *dispatch, clock, gateways->capture_later(), options.saga));
    const bool capture_later = gateways->capture_later();
    definitions.push_back(PlaceAssessedRoutedOrder(risk, gateways->routing(), *dispatch, clock,
                                                   assesses && !capture_later, options.saga));
    definitions.push_back(PlaceAssessedCapturedOrder(risk, gateways->routing(), *dispatch, clock,
                                                     assesses && capture_later, options.saga));
    definitions.push_back(TakePayment(gateways->routing(), clock, options.payment_retry));
    definitions.push_back(AssessedTakePayment(risk, gateways->routing(), clock, assesses, options.payment_retry));
  }
  definitions.push_back(RefundOrder(gateways && options.payment_gateway == "builtin" ? nullptr : payments.get(),
                                    gateways ? &gateways->routing() : nullptr, clock, options.saga.payment));
  if (payouts) {
    definitions.push_back(PayOut(*payouts, clock, options.saga.payment));
    definitions.push_back(AssessedPayOut(risk, *payouts, clock, assesses, options.saga.payment));
  }
  const saga::Kinds kinds(std::move(definitions));
  order_metrics.AddSteps(kinds);

  // The journal, and what drives sagas over it and answers callers.
  saga::Lease lease{options.instance, ids.Next().ToString(), options.lease};
  const storage::OrderTables order_tables([&webhook_interest] { return webhook_interest.MayBe(); });
  const auto refund_tables = storage::PartialRefundTables([&webhook_interest] { return webhook_interest.MayBe(); });
  const auto payment_tables = storage::PaymentTables();
  const auto payout_tables = storage::PayoutTables();
  storage::SagaJournalOptions journal_options;
  journal_options.writers = options.journal_writers;
  journal_options.complete_beside = options.journal_completers;
  journal_options.ledger = options.ledger;
  journal_options.ledger_commission_ppm = options.ledger_commission_ppm;
  journal_options.queue_max = options.journal_queue_max;
  journal_options.tracer = tracer;
  journal_options.on_commit = [&order_metrics](size_t items, absl::Duration took) {
    order_metrics.Committed(items, took);
  };
  const Logger journal_log = log.For("storage.postgres");
  journal_options.on_error = [&journal_log](const absl::Status& status) {
    journal_log.Warn("journal write failed", {{"error", std::string(status.message())}});
  };
  journal_options.on_repeated = [&order_metrics](size_t writes) { order_metrics.Repeated(writes); };
  journal_options.on_refused = [&order_metrics](const absl::Status& why) { order_metrics.Refused(why); };
  journal_options.on_unreadable = [&journal_log, &order_metrics](const absl::Status& why, bool marked) {
    order_metrics.Unreadable();
    if (!marked) journal_log.Error("a saga is left alone", {{"error", std::string(why.message())}});
  };
  std::vector<const storage::SagaTables*> tables = {&order_tables, &refund_tables};
  if (gateways) tables.push_back(&payment_tables);
  if (payouts) tables.push_back(&payout_tables);  // behind the others, whose accounts are locked first
  auto journal = OpenJournal(options, tables, kinds, claims, loops, journal_options, lease, clock, stop, log);
  if (!journal.ok()) {
    if (journal.status().code() == absl::StatusCode::kCancelled) return 0;
    return process::Fail(log, "cannot open the journal", journal.status());
  }
  if (absl::Status read = (*identity)->ReadKeys(); !read.ok()) {
    return process::Fail(log, "cannot read the keys of callers", read);
  }
  process::AddPoolMetrics(metrics, {{"read", &reads},
                                    {"scan", &scans},
                                    {"journal", &claims},
                                    {"driver", &drivers},
                                    {"risk", &risk_writes},
                                    {"reconciliation", &reconciliations},
                                    {"payment_sum", &sum_connections},
                                    {"webhook", &webhook_writes}});
  metrics.AddCallbackGauge("waybill_journal_queue_depth", "Writes waiting for the next journal commit.",
                           [&journal] { return static_cast<double>((*journal)->queue_depth()); });
  OrderCoreOptions core_options;
  core_options.lease = options.lease;
  core_options.live_max = options.live_max;
  core_options.housekeeping.recovery_in_flight = options.recovery_in_flight;
  core_options.api = options.api;
  core_options.watches = options.watches;
  OrderCore core({kinds, **journal, *dispatch, store, audit, workers, list_workers, scheduler, clock, random, ids,
                  order_metrics, log, tracer, gateways ? &gateways->routing() : nullptr},
                 reconcile, core_options);
  saga::Runner& runner = core.runner;
  RiskApi risk_api(risk_store, store, runner);
  storage::PostgresPaymentStore payment_store(reads);
  PaymentApi payment_api(runner, payment_store, workers, scheduler, clock, ids,
                         gateways ? &gateways->routing() : nullptr, options.api);
  metrics.AddCallbackGauge("waybill_payments_undecided",
                           "Payments without an order that this process has taken, and that are not decided yet.",
                           [&payment_api] { return static_cast<double>(payment_api.undecided()); });
  storage::PostgresPayoutStore payout_store(reads, scans);
  PayoutApi payout_api(runner, payout_store, workers, list_workers, scheduler, clock, ids, payouts != nullptr,
                       options.api);
  metrics.AddCallbackGauge("waybill_payouts_undecided",
                           "Payouts that this process has begun, and that are neither decided nor pending.",
                           [&payout_api] { return static_cast<double>(payout_api.undecided()); });
  metrics.AddCallbackGauge("waybill_order_watches_open", "WatchOrder calls that are open.",
                           [&core] { return static_cast<double>(core.watches.size()); });

  // Webhooks of gateways, where a file says whose.
  storage::PoolOptions inbox_pool;
  inbox_pool.size = kInboxWorkers + 1;
  storage::Pool inbox_connections(options.database_url, storage::WriteConnectionOptions(), inbox_pool);
  WorkerPool inbox_workers(kInboxWorkers, 1'000);
  std::optional<storage::PostgresWebhookInbox> inbox;
  std::optional<storage::RedisPaymentEvents> payment_events;
  std::optional<GatewayWebhooks> gateway_webhooks;
  std::optional<Chores> inbox_chores;
  if (!options.gateway_webhooks_file.empty()) {
    inbox.emplace(options.database_url, inbox_connections, storage::WebhookInboxOptions(), loops);
    payment_events.emplace(*redis_url, storage::RedisOptions());
    gateway_webhooks.emplace(*inbox, &*payment_events, runner, order_metrics, inbox_workers, clock, metrics, log);
    inbox_chores.emplace(gateway_webhooks->MakeChores(options.gateway_webhooks_retention), clock, log);
  }
  std::mutex reading_gateways;  // one at a time
  std::string gateways_in_force;
  const auto read_gateways = [&] {
    std::lock_guard turn(reading_gateways);
    absl::StatusOr<payments::WebhookGateways> senders = payments::ReadWebhookGateways(options.gateway_webhooks_file);
    if (!senders.ok()) {
      log.Error("webhooks are taken as before: the file could not be read",
                {{"error", std::string(senders.status().message())}});
      return;
    }
    const std::string before = std::exchange(gateways_in_force, payments::Describe(*senders));
    gateway_webhooks->Use(*std::move(senders));
    log.Info("webhooks are taken", {{"file", options.gateway_webhooks_file}, {"gateways", gateways_in_force}});
    if (!before.empty() && before != gateways_in_force) {
      process_audit.Changed({"gateway-webhooks-file", before, ""},
                            {"gateway-webhooks-file", gateways_in_force, options.gateway_webhooks_file});
    }
  };

  // What clients are told of their orders.
  WebhookMetrics webhook_metrics(metrics);
  WebhookSender webhook_sender(webhook_store, webhook_interest, clock, random, webhook_metrics, log, options.webhooks);
  WebhookApi webhook_api(webhook_store, webhook_interest, access::SystemEntropy, clock, ids,
                         options.webhooks.guard.names_any());

  // What has failed for good.
  storage::PostgresDeadLetterStore dead_letter_store(kinds, reconciliation, webhook_writes, scans);
  DeadLetterApi dead_letters(dead_letter_store, core.sagas, clock);

  storage::PostgresWebhookInboxView inbox_view(webhook_writes, scans);

  FleetApi fleet_api(*fleet, driver_store, workers, list_workers, clock);

  // What callers see, and who they are.
  std::optional<access::KeyAdmin> key_admin;
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
  std::vector<std::string> steps;
  for (const saga::Definition& definition : kinds.all()) {
    for (const saga::Step& step : definition.steps) {
      if (std::find(steps.begin(), steps.end(), step.name) == steps.end()) steps.push_back(step.name);
    }
  }
  if (storage::KeyStore* keys = (*identity)->store()) {
    key_admin.emplace(*keys, (*identity)->hash(), access::SystemEntropy, clock,
                      [&identity] { (*identity)->Refresh(); });
  }
  for (rpc::Server* edge : {&server, &connect.server()}) {
    AddOrderService(*edge, core.api, core.refunds, core.watches);
    AddPaymentService(*edge, payment_api);
    AddPayoutService(*edge, payout_api);
    AddSagaAdmin(*edge, core.sagas, steps);
    AddFleetService(*edge, fleet_api);
    AddAuditAdmin(*edge, audit, list_workers);
    AddRiskAdmin(*edge, risk_api, clock, list_workers);
    AddGatewayAdmin(*edge, gateways ? &gateways->router() : nullptr, gateway_store, list_workers);
    AddReconciliationService(*edge, reconciliation, payment_sums, gateways ? &gateways->router() : nullptr,
                             /*unnamed=*/options.payment_gateway != "builtin", reconciling, list_workers, summing);
    AddWebhookService(*edge, webhook_api, list_workers);
    AddDeadLetterAdmin(*edge, dead_letters, list_workers);
    AddWebhookInboxAdmin(*edge, inbox_view, list_workers);
    if (key_admin) AddAccessAdmin(*edge, *key_admin, list_workers);
  }
  (*identity)->OnChange([&server, &connect] {
    server.CheckCallers();
    connect.server().CheckCallers();
  });
  std::atomic<int64_t> audit_entries{0};
  std::vector<Chore> watching = {process_audit.WriteChore(audit),
                                 EveryChore(absl::Seconds(15), "counting the audit", [&audit, &audit_entries] {
                                   absl::StatusOr<storage::AuditHead> head = audit.Head();
                                   if (head.ok()) audit_entries = head->sequence;
                                   return head.status();
                                 })};
  metrics.AddCallbackGauge("waybill_audit_entries", "Entries of the audit, by the number of the newest.",
                           [&audit_entries] { return static_cast<double>(audit_entries); });
  process::AddMetrics(metrics, process_audit);
  OpenCases open_cases(metrics);
  watching.push_back(open_cases.CountChore(reconciliation));
  UnsummedGauges unsummed_gauges(metrics);
  watching.push_back(unsummed_gauges.CountChore(payment_sums));
  DeadLetterGauges dead_letter_gauges(metrics, clock);
  watching.push_back(dead_letter_gauges.CountChore(dead_letter_store));
  for (Chore& chore : WebhookChores(webhook_store, webhook_interest, clock, webhook_metrics, options.webhooks)) {
    watching.push_back(std::move(chore));
  }
  if (*certificates) watching.push_back(tls::WatchChore(**certificates));
  if (*participant_certificates) {
    watching.push_back(tls::WatchChore(**participant_certificates, [&] {
      for (const auto& [client, participant] : {std::pair(gateway_client.get(), &options.payment_gateway),
                                                std::pair(payout_client.get(), &options.payout_gateway),
                                                std::pair(dispatch_client.get(), &options.dispatch)}) {
        if (participant->starts_with(kTlsScheme)) {
          client->Use(ChannelsTo(*participant, participant_certificates->get()));
        }
      }
      if (gateways) gateways->ConnectAgain();
    }));
  }
  if (gateways) {
    if (absl::Status read = gateways->ReadSettings(); !read.ok()) {
      return process::Fail(log, "cannot read what was said of gateways", read);
    }
    gateways->AwaitConnections(clock.Steady() + absl::Seconds(2));
    watching.push_back(gateways->FollowChore());
    watching.push_back(gateways->prober().TurnChore());
  }
  Chores beside(std::move(watching), clock, log);
  Chores folding({FoldChore(payment_sums)}, clock, log);
  beside.Start(loops);
  folding.Start(loops);
  core.leases.Start(loops);
  core.housekeeping.Start(loops);
  webhook_sender.Start(loops);

  int exit_code = 0;
  (*limits)->Start(loops, stop, [&](const std::string& before, const std::string& after) {
    process_audit.Changed({"limits-file", before, ""}, {"limits-file", after, options.limits.file});
  });
  if (risk_rules) {
    risk_rules->Start(stop, [&](const std::string& before, const std::string& after) {
      process_audit.Changed({"risk-file", before, ""}, {"risk-file", after, options.risk_file});
    });
  }
  if (gateways) {
    gateways->Start(stop, [&](const std::string& before, const std::string& after) {
      process_audit.Changed({"gateways-file", before, ""}, {"gateways-file", after, options.gateways_file});
    });
  }
  // What this instance had in flight when it died is asked for before anybody is told sums: it may have been booked.
  SteadyTime until = clock.Steady() + kFirstLookMax;
  bool looked = false;
  while (gateways && !core.recovery.caught_up() && clock.Steady() < until && !stop.WaitFor(absl::Milliseconds(5))) {
    if (looked || !core.recovery.looked()) continue;
    looked = true;
    until = clock.Steady() + kCatchUpMax;
  }
  absl::Status started = server.Start();
  if (started.ok()) started = connect.Start();
  if (started.ok()) (*identity)->Start(loops);
  if (started.ok() && gateway_webhooks) {
    stop.AlsoOnHangup(&*gateway_webhooks, read_gateways);
    read_gateways();  // after that: a SIGHUP in between is heard
    inbox_chores->Start(loops);
    (*side_port)
        ->Serve(std::string(kWebhooksPath), {std::string(kWebhooksPath), {"POST"}},
                [&gateway_webhooks](const http::ExchangePtr& exchange) { gateway_webhooks->Take(exchange); });
  }
  if (started.ok()) started = process::WritePortFile(options.port_file, server.port(), (*side_port)->port());
  if (started.ok()) {
    readiness.SetServing();
    log.Info("serving", {{"grpc_port", server.port()},
                         {"side_port", (*side_port)->port()},
                         {"instance", options.instance},
                         {"payment_gateway", options.payment_gateway},
                         {"dispatch", options.dispatch}});
    process::WarnOfPlainPort(options.exposure, options.listen, log);
    stop.Wait();
  } else {
    exit_code = process::Fail(log, "cannot serve", started);
  }

  // Draining: nothing new, and a bounded time for what runs.
  log.Info("draining", {{"unfinished", runner.live()}});
  const SteadyTime deadline = clock.Steady() + options.drain;
  StopWatchdog watchdog(options.drain + absl::Seconds(10), log);
  readiness.SetDraining();
  core.api.SetDraining();
  core.refunds.SetDraining();
  payment_api.SetDraining();
  payout_api.SetDraining();
  server.SendAway();  // before watches end, so that their clients do not come back here
  connect.SendAway();
  (*side_port)->SetDraining();
  if (gateway_webhooks) gateway_webhooks->SetDraining();
  webhook_sender.SetDraining();
  core.watches.Stop();
  server.Drain(deadline);
  connect.Drain(deadline);
  if (gateway_webhooks) {
    stop.AlsoOnHangup(&*gateway_webhooks, nullptr);
    inbox->Stop();  // what came is kept, and answered
    inbox_chores->Stop();
  }
  inbox_workers.Stop();
  (*limits)->Stop();
  (*identity)->Stop();
  core.housekeeping.Stop();
  beside.Stop();
  folding.Stop();
  webhook_sender.Stop(deadline);

  // From here on the runner calls nobody and writes nothing, so that its callers can be stopped in any order: calls
  // that are in flight are cancelled, threads end, and the journal writes what it has. Each write renews a lease, so
  // the leases end last; whoever is left goes on at once.
  runner.Stop(deadline);
  core.leases.Stop();  // only now: sagas had until the deadline
  if (gateway_client) gateway_client->Stop();
  if (payout_client) payout_client->Stop();
  if (gateways) gateways->Stop();
  if (risk_rules) risk_rules->Stop();
  if (dispatch_client) dispatch_client->Stop();
  fleet->Stop();
  scheduler.Stop();
  dispatch_workers.Stop();
  risk_workers.Stop();
  reconciliation.Cancel();
  reconciling.Stop();
  summing.Stop();
  list_workers.Stop();
  workers.Stop();
  (*journal)->Stop();
  if (absl::Status released = runner.ReleaseLeases(); !released.ok()) {
    log.Warn("leases were not released", {{"error", std::string(released.message())}});
  }
  process_audit.WriteLast(audit, log);

  (*tracing)->Stop(deadline);
  // Whoever looks at what goes now goes first; then everything, in the reverse of the order it was built in.
  side_port->reset();
  readiness.Stop();
  log.Info("stopped", {{"unfinished", runner.live()}});
  return exit_code;
}

}  // namespace
}  // namespace waybill::order

int main(int argc, char** argv) {
  using namespace waybill::order;  // NOLINT(google-build-using-namespace): this file is the service's own main
  return waybill::process::RunService<ServiceOptions>(
      {"waybill-order", "WAYBILL_ORDER_", DeclareSettings, FinishSettings, waybill::ThisBuild()}, argc, argv, Serve);
}
