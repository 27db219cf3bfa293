#include "services/order/service_options.h"

#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "CLI/CLI.hpp"
#include "fmt/format.h"
#include "payments/gateways_file.h"
#include "payments/webhooks/gateways.h"
#include "risk/rules_file.h"
#include "runtime/random.h"
#include "services/order/served_methods.h"
#include "services/process/flags.h"
#include "services/process/startup.h"

namespace waybill::order {
namespace {

bool IsRemote(const std::string& text) {
  for (const std::string_view scheme : {kPlainScheme, kTlsScheme}) {
    if (text.starts_with(scheme) && text.size() > scheme.size()) return true;
  }
  return false;
}

CLI::Option* AddParticipant(CLI::App& app, const std::string& name, std::string& value, const std::string& help) {
  return app.add_option(name, value, help)
      ->capture_default_str()
      ->type_name("builtin|grpc[s]://HOST:PORT")
      ->check([](const std::string& text) {
        if (IsRemote(text)) return "";
        return text == "builtin" ? "" : "is neither builtin nor grpc://HOST:PORT nor grpcs://HOST:PORT";
      });
}

absl::Status CheckParticipants(const ServiceOptions& options) {
  const tls::Files& files = options.participant_tls;
  if (files.certificate.empty() != files.key.empty()) {
    return absl::InvalidArgumentError("--participant-certificate and --participant-key come together or not at all");
  }
  bool any = options.payment_gateway.starts_with(kTlsScheme) || options.dispatch.starts_with(kTlsScheme) ||
             options.payout_gateway.starts_with(kTlsScheme);
  if (!options.gateways_file.empty()) {
    const absl::StatusOr<payments::Routes> routes = payments::ReadRoutes(options.gateways_file);
    if (!routes.ok()) {
      return absl::InvalidArgumentError(fmt::format("--gateways-file: {}", std::string(routes.status().message())));
    }
    for (const payments::Gateway& gateway : routes->gateways) any = any || gateway.address.starts_with(kTlsScheme);
  }
  if (!files.empty() && !any) {
    return absl::InvalidArgumentError(
        fmt::format("{} is given, and neither --payment-gateway nor --dispatch, nor --payout-gateway, nor any of "
                    "--gateways-file, is grpcs://",
                    files.ca.empty() ? "--participant-certificate" : "--participant-ca"));
  }
  return absl::OkStatus();
}

// Stable over restarts where the port is; where it is any free one, nobody could come back as the same instance anyway.
}  // namespace

int QueuesFor(int cores) { return cores >= 8 ? 2 : 1; }

int JournalWritersFor(int cores) { return std::clamp(cores * 3 / 4, 3, 8); }

bool JournalCompletersFor(int cores) { return cores >= 8; }

void DeclareSettings(CLI::App& app, ServiceOptions& options) {
  app.description("waybill-order charges an order and gives it a driver, or gives the money back.");
  process::AddPortSettings(app, "WAYBILL_", options);
  app.add_option("--instance", options.instance,
                 "Name of this process towards the others on the database; the same after a restart, so that it takes "
                 "its unfinished orders up at once (default: HOST:PORT)")
      ->envname("WAYBILL_INSTANCE");

  process::AddStoreSettings(app, "Redis", options);
  AddParticipant(app, "--payment-gateway", options.payment_gateway, "Who takes the money; builtin approves all")
      ->envname("WAYBILL_PAYMENT_GATEWAY");
  app.add_option("--payout-gateway", options.payout_gateway,
                 "Payout gateway, which sends money from accounts in the ledger to payees; every replica of a database "
                 "has the same (default: none, and nothing is paid out)")
      ->envname("WAYBILL_PAYOUT_GATEWAY")
      ->type_name("grpc[s]://HOST:PORT")
      ->check([](const std::string& text) {
        return text.empty() || IsRemote(text) ? "" : "is neither grpc://HOST:PORT nor grpcs://HOST:PORT";
      });
  app.add_option(
         "--gateways-file", options.gateways_file,
         "TOML file of several payment gateways, and of rules which order goes to which; weights, costs and rules "
         "are read again at SIGHUP. Then --payment-gateway is for orders that began without it, which are left alone "
         "where it is builtin (default: none)")
      ->type_name("FILE");
  app.add_option(
         "--risk-file", options.risk_file,
         "TOML file of rules of risk, which new orders, payments and payouts are assessed by before they are charged "
         "or sent; read again at SIGHUP (default: none are)")
      ->type_name("FILE");
  process::AddDuration(app, "--gateway-probe-every", options.gateway_probe_every,
                       "How often each of these is asked how it fares, at most, by all replicas together; the same for "
                       "all of them",
                       absl::Minutes(5));
  AddParticipant(app, "--dispatch", options.dispatch, "Who assigns drivers; builtin picks the nearest free one")
      ->envname("WAYBILL_DISPATCH");
  app.add_option("--participant-ca", options.participant_tls.ca,
                 "CAs (PEM) that vouch for participants behind grpcs:// (default: those of this machine)")
      ->type_name("FILE");
  app.add_option("--participant-certificate", options.participant_tls.certificate,
                 "Certificate (PEM) to show to participants behind grpcs://")
      ->type_name("FILE");
  app.add_option("--participant-key", options.participant_tls.key, "Its key (PEM, not encrypted)")->type_name("FILE");
  app.add_option("--dispatch-radius-m", options.dispatch_radius_m, "How far from the pickup point builtin looks")
      ->check(process::NumberBetween(1.0, 1'000'000.0))
      ->capture_default_str();

  const int cores = process::Cores();
  options.queues = QueuesFor(cores);
  options.journal_writers = JournalWritersFor(cores);
  options.journal_completers = JournalCompletersFor(cores);
  process::AddInteger(app, "--queues", options.queues, "Threads that serve gRPC; by default two from 8 cores on")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  process::AddInteger(app, "--workers", options.workers, "Threads that read from Postgres")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  process::AddInteger(app, "--journal-writers", options.journal_writers,
                      "Connections that write sagas, by group commit; by default three for every four cores, 3 to 8")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  app.add_flag("--journal-completers", options.journal_completers,
               "A second thread for each journal writer, which goes on with what was written while the next is; by "
               "default from 8 cores on")
      ->default_str(options.journal_completers ? "true" : "false");
  app.add_flag("--ledger", options.ledger,
               "Orders, payments and refunds post to the ledger, in the commits that book them")
      ->capture_default_str();
  process::AddInteger(app, "--ledger-commission-ppm", options.ledger_commission_ppm,
                      "With --ledger, what a completed order holds is split: the platform's commission in parts per "
                      "million (200000 is 20 %), rounded down to the minor unit, and the rest is the driver's; every "
                      "replica of a database has the same (default: it is not split)")
      ->check(CLI::Range(0, 1'000'000));
  process::AddInteger(app, "--journal-queue-max", options.journal_queue_max,
                      "Orders waiting to be written; more are refused with RESOURCE_EXHAUSTED")
      ->check(CLI::Range(size_t{1}, size_t{1'000'000}))
      ->capture_default_str();

  process::AddDuration(app, "--lease", options.lease,
                       "How long an order stays with a process that shows no sign of life");
  process::AddInteger(app, "--recovery-in-flight", options.recovery_in_flight,
                      "Orders being recovered at the same time, at most")
      ->check(CLI::Range(size_t{1}, size_t{1'000'000}))
      ->capture_default_str();
  process::AddInteger(
      app, "--live-max", options.live_max,
      "Unfinished orders in this process, at most; more are refused with RESOURCE_EXHAUSTED. One takes up to "
      "32 KiB, calls included")
      ->check(CLI::Range(size_t{1}, size_t{10'000'000}))
      ->capture_default_str();
  saga::RetryPolicy& retry = options.saga.payment;  // and of the dispatch
  process::AddInteger(app, "--attempts-max", retry.attempts_max,
                      "Attempts at a step, at least, before it is turned back")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  process::AddDuration(app, "--retry-for", retry.retry_for,
                       "How long a step is tried, at least, before it is turned back");
  process::AddDuration(app, "--payment-retry-for", options.payment_retry.retry_for,
                       "The same of payments without an order (TakePayment), which wait for their gateway");
  process::AddDuration(app, "--attempt-timeout", retry.attempt_timeout, "Deadline of one call to a participant");
  process::AddDuration(app, "--backoff", retry.backoff_initial,
                       "First pause between attempts; doubled each time, with jitter");
  process::AddDuration(app, "--backoff-max", retry.backoff_max, "Longest pause between attempts at a step");
  process::AddDuration(app, "--undo-backoff-max", retry.undo_backoff_max, "Longest pause between attempts at undoing");
  process::AddInteger(app, "--attention-after", retry.attention_after,
                      "Failed attempts at undoing after which a person is called")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();

  process::AddInteger(app, "--watches-max", options.watches.watches_max, "Watches open at the same time")
      ->check(CLI::Range(size_t{1}, size_t{1'000'000}))
      ->capture_default_str();
  process::AddDuration(app, "--wait-max", options.api.wait_max, "Longest wait of a call for its order");
  app.add_option("--webhook-allow-networks", options.webhook_networks,
                 "Networks within that endpoints of webhooks may be in, also without TLS, with commas between: "
                 "10.1.0.0/16,fd00::/8 (default: none, only addresses of the internet)")
      ->check(
          [](const std::string& text) { return std::string(webhooks::AddressGuard::Parse(text).status().message()); });
  process::AddInteger(app, "--webhook-in-flight", options.webhooks.in_flight_max,
                      "Deliveries to endpoints of webhooks that are under way at the same time")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  process::AddInteger(app, "--webhook-each", options.webhooks.each_max, "Of these, to one endpoint")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  process::AddDuration(app, "--webhook-timeout", options.webhooks.timeout,
                       "Of an attempt to deliver; after three times that another process takes it up");
  process::AddDuration(app, "--webhook-retention", options.webhooks.retention,
                       "How long deliveries that have ended are kept");
  process::AddIdentityFlags(app, options.identity);
  process::AddLimitsFlag(app, options.limits);
  app.add_option("--gateway-webhooks-file", options.gateway_webhooks_file,
                 "TOML file with the gateways whose webhooks POST /webhooks/NAME on the HTTP port takes; read again at "
                 "SIGHUP (default: none are taken)")
      ->type_name("FILE");
  process::AddDuration(app, "--gateway-webhooks-retention", options.gateway_webhooks_retention,
                       "How long what webhooks said is kept, once nothing is left to do about it");
  process::AddDuration(app, "--drain", options.drain, "How long running calls and orders have at SIGTERM");
  app.add_option_function<double>(
         "--drain-seconds", [&options](double seconds) { options.drain = absl::Seconds(seconds); },
         "The same in seconds, over --drain, and as a flag only")
      ->configurable(false)
      ->check(process::NumberBetween(0.0, 3'600.0));

  process::AddTracingSettings(app, options.tracing);
  process::AddLogFlags(app, options.log_levels, options.log_format);
}

absl::Status FinishSettings(ServiceOptions& options) {
  if (absl::Status fit = process::CheckServerSettings(options, ServedMethods()); !fit.ok()) return fit;
  if (absl::Status fit = CheckParticipants(options); !fit.ok()) return fit;
  if (options.ledger_commission_ppm && !options.ledger) {
    return absl::InvalidArgumentError(
        "--ledger-commission-ppm is given, and --ledger is not: nothing is posted to split");
  }
  options.api.room_kept = options.live_max / 2;
  if (!options.gateway_webhooks_file.empty()) {
    const absl::Status read = payments::ReadWebhookGateways(options.gateway_webhooks_file).status();
    if (!read.ok())
      return absl::InvalidArgumentError(fmt::format("--gateway-webhooks-file: {}", std::string(read.message())));
  }
  if (!options.risk_file.empty()) {
    const absl::Status read = risk::ReadRules(options.risk_file).status();
    if (!read.ok()) return absl::InvalidArgumentError(fmt::format("--risk-file: {}", std::string(read.message())));
  }
  absl::StatusOr<webhooks::AddressGuard> guard = webhooks::AddressGuard::Parse(options.webhook_networks);
  if (!guard.ok()) return guard.status();
  options.webhooks.guard = *std::move(guard);
  const saga::RetryPolicy& retry = options.saga.payment;
  for (const auto& [name, longest] :
       {std::pair("--backoff-max", retry.backoff_max), std::pair("--undo-backoff-max", retry.undo_backoff_max)}) {
    if (longest >= retry.backoff_initial) continue;
    return absl::InvalidArgumentError(fmt::format("{} ({}) is less than --backoff ({})", name,
                                                  absl::FormatDuration(longest),
                                                  absl::FormatDuration(retry.backoff_initial)));
  }
  options.saga.dispatch = retry;
  const absl::Duration payment_retry_for = options.payment_retry.retry_for;
  options.payment_retry = retry;
  options.payment_retry.retry_for = payment_retry_for;
  if (options.instance.empty()) options.instance = process::InstanceName(options.listen);
  return absl::OkStatus();
}

}  // namespace waybill::order
