#include "services/ledger/service_options.h"

#include <algorithm>

#include "CLI/CLI.hpp"
#include "edge/connect/protocol.h"
#include "services/ledger/served_methods.h"
#include "services/process/flags.h"
#include "services/process/startup.h"

namespace waybill::ledger {

int QueuesFor(int cores) { return std::clamp(cores / 4, 1, 4); }

void DeclareSettings(CLI::App& app, ServiceOptions& options) {
  app.description(
      "waybill-ledger keeps accounts by double entry: transfers and holds between them, durable in Postgres before "
      "they\n"
      "are answered, each once for its id, and never more than an account may give.");
  app.add_option("--listen", options.listen, "Address of the gRPC port; port 0 takes a free one")
      ->envname("WAYBILL_LEDGER_LISTEN")
      ->capture_default_str();
  app.add_option("--side-listen", options.side_listen,
                 "Address of the HTTP port: probes, metrics, and calls by curl and browsers")
      ->envname("WAYBILL_LEDGER_SIDE_LISTEN")
      ->capture_default_str();
  app.add_option("--web-origins", options.web_origins,
                 "Origins whose pages may call the HTTP port, with commas between; * for all (default: none)")
      ->check([](const std::string& text) { return std::string(connect::ParseOrigins(text).status().message()); });
  process::AddExposureSettings(app, options.exposure);
  app.add_option("--port-file", options.port_file,
                 "Write the bound ports to this file once serving: grpc=PORT, side=PORT");

  app.add_option("--database-url", options.database_url, "Postgres")->envname("DATABASE_URL")->capture_default_str();
  app.add_option("--redis-url", options.redis_url, "Redis: a cache of balances, and the limits of --limits-file")
      ->envname("REDIS_URL")
      ->capture_default_str();
  app.add_flag("--migrate", options.migrate, "Bring the database's schema up to date before serving")
      ->envname("WAYBILL_MIGRATE");
  process::AddDuration(app, "--store-wait", options.store_wait, "How long to wait for Postgres at start");

  options.queues = QueuesFor(process::Cores());
  process::AddInteger(app, "--queues", options.queues,
                      "Threads that serve gRPC; by default one for every four cores, 1 to 4")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  process::AddInteger(app, "--workers", options.workers, "Threads that read, each with a connection to Postgres")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  process::AddInteger(app, "--writers", options.writers,
                      "Connections that write transfers, by group commit; more than one get in each other's way at "
                      "accounts that many transfers have in common")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  process::AddInteger(app, "--batch-max", options.batch_max, "Transfers in one commit, unless one call has more")
      ->check(CLI::Range(size_t{1}, size_t{8'000}))
      ->capture_default_str();
  process::AddInteger(app, "--queue-max", options.queue_max,
                      "Transfers waiting for a commit; beyond, calls are refused")
      ->check(CLI::Range(size_t{8'000}, size_t{10'000'000}))
      ->capture_default_str();
  process::AddInteger(app, "--accounts-max", options.accounts_max, "Accounts whose balance each writer keeps in mind")
      ->check(CLI::Range(size_t{1'000}, size_t{10'000'000}))
      ->capture_default_str();

  process::AddIdentityFlags(app, options.identity);
  process::AddLimitsFlag(app, options.limits);
  AddBrokerSettings(app, options.broker);
  process::AddDuration(app, "--drain", options.drain, "How long running calls have at SIGTERM");
  process::AddTracingSettings(app, options.tracing);
  process::AddLogFlags(app, options.log_levels, options.log_format);
}

absl::Status FinishSettings(ServiceOptions& options) {
  if (absl::Status stores = process::CheckStoreUrls(options.database_url, options.redis_url); !stores.ok())
    return stores;
  if (absl::Status exposed = process::CheckExposure(options.exposure, options.listen, options.side_listen);
      !exposed.ok()) {
    return exposed;
  }
  if (absl::Status fit = process::CheckIdentity(options.identity, options.listen, options.side_listen); !fit.ok())
    return fit;
  if (absl::Status fit = process::CheckLimits(options.limits, ServedMethods()); !fit.ok()) return fit;
  if (absl::Status fit = BrokerOptionsOf(options.broker).status(); !fit.ok()) return fit;
  return process::CheckTracing(options.tracing);
}

}  // namespace waybill::ledger
