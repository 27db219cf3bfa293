#include "services/ledger/service_options.h"

#include <algorithm>

#include "CLI/CLI.hpp"
#include "services/ledger/served_methods.h"
#include "services/process/flags.h"

namespace waybill::ledger {

int QueuesFor(int cores) { return std::clamp(cores / 4, 1, 4); }

void DeclareSettings(CLI::App& app, ServiceOptions& options) {
  app.description(
      "waybill-ledger keeps accounts by double entry: transfers and holds between them, durable in Postgres before "
      "they\n"
      "are answered, each once for its id, and never more than an account may give.");
  process::AddPortSettings(app, "WAYBILL_LEDGER_", options);
  process::AddStoreSettings(app, "Redis: a cache of balances, and the limits of --limits-file", options);

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
  app.add_option("--wallet-client", options.wallets.client,
                 "Whose accounts pay orders: serves waybill.payment.v1, for a gateway of waybill-order (default: none)")
      ->type_name("CLIENT");
  app.add_option("--wallet-account", options.wallets.wallet, "The account of a user, that pays")
      ->capture_default_str()
      ->type_name("PATTERN");
  app.add_option("--wallet-orders", options.wallets.orders, "The account that is paid")
      ->capture_default_str()
      ->type_name("PATTERN");
  process::AddDuration(app, "--wallet-hold", options.wallets.hold,
                       "How long money that is held for an order can be taken, where the gateway captures later");
  process::AddInteger(app, "--wallet-workers", options.wallets.workers,
                      "Calls for wallets at a time, each with a thread that waits for Postgres")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  process::AddDuration(app, "--drain", options.drain, "How long running calls have at SIGTERM");
  process::AddTracingSettings(app, options.tracing);
  process::AddLogFlags(app, options.log_levels, options.log_format);
}

absl::Status FinishSettings(ServiceOptions& options) {
  if (absl::Status fit = process::CheckServerSettings(options, ServedMethods()); !fit.ok()) return fit;
  if (absl::Status wallets = CheckWallets(options.wallets); !wallets.ok()) return wallets;
  return BrokerOptionsOf(options.broker).status();
}

}  // namespace waybill::ledger
