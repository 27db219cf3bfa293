// The settings of waybill-order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "edge/tls/credentials.h"
#include "runtime/log.h"
#include "services/order/order_api.h"
#include "services/order/order_watch.h"
#include "services/order/place_order.h"
#include "services/order/webhook_sender.h"
#include "services/process/server_settings.h"

namespace waybill::order {

// What a remote participant begins with: plain, or over TLS.
inline constexpr std::string_view kPlainScheme = "grpc://", kTlsScheme = "grpcs://";

struct ServiceOptions : process::ServerSettings {
  ServiceOptions() : ServerSettings{"127.0.0.1:7410", "127.0.0.1:7411"} {}

  std::string instance;                     // empty: the host's name and the port
  std::string payment_gateway = "builtin";  // or grpc://host:port, or grpcs://host:port
  std::string dispatch = "builtin";         // the same
  std::string payout_gateway;               // remote; empty: nothing is paid out
  std::string risk_file;                    // empty: nothing is assessed
  std::string gateways_file;                // empty: payment_gateway takes every order
  absl::Duration gateway_probe_every = absl::Seconds(5);
  tls::Files participant_tls;  // for grpcs
  int queues = 1;              // as for two cores: QueuesFor
  int workers = 4;
  int journal_writers = 3;          // JournalWritersFor
  bool journal_completers = false;  // JournalCompletersFor
  bool ledger = false;              // orders post to it
  std::optional<int32_t> ledger_commission_ppm;
  size_t journal_queue_max = 10'000;
  absl::Duration lease = absl::Seconds(10);
  size_t recovery_in_flight = 2'000;
  size_t live_max = 20'000;
  double dispatch_radius_m = 5'000;
  PlaceOrderOptions saga;
  saga::RetryPolicy payment_retry{.retry_for = absl::Hours(24)};  // of payments without an order; the rest as `saga`
  OrderApiOptions api;
  WatchOptions watches;
  std::string webhook_networks;  // with commas between
  WebhookOptions webhooks;
  std::string gateway_webhooks_file;  // empty: no webhooks are taken
  absl::Duration gateway_webhooks_retention = absl::Hours(24 * 30);
  absl::Duration drain = absl::Seconds(10);
  LogLevels log_levels;
  LogFormat log_format = LogFormat::kJson;
};

// Defaults by the cores that the process may use. On 16 of them three writers are the first limit and one queue is the
// second; a third queue costs more than it brings, and so do more than eight writers. Where cores are scarce, so does
// completing beside a writer (docs/performance.md).
int QueuesFor(int cores);
int JournalWritersFor(int cores);
bool JournalCompletersFor(int cores);

// For process::Settings.
void DeclareSettings(CLI::App& app, ServiceOptions& options);
// What follows from those that were read; INVALID_ARGUMENT says what is wrong with them.
absl::Status FinishSettings(ServiceOptions& options);

}  // namespace waybill::order
