// The settings of waybill-ledger.
#pragma once

#include <cstddef>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/log.h"
#include "services/ledger/broker_settings.h"
#include "services/ledger/wallet_gateway.h"
#include "services/process/server_settings.h"

namespace waybill::ledger {

struct ServiceOptions : process::ServerSettings {
  ServiceOptions() : ServerSettings{"127.0.0.1:7440", "127.0.0.1:7441"} {}

  int queues = 1;  // as for two cores: QueuesFor
  int workers = 4;
  int writers = 1;
  size_t batch_max = 2'000;
  size_t queue_max = 100'000;
  size_t accounts_max = 100'000;
  BrokerSettings broker;
  WalletOptions wallets;
  absl::Duration drain = absl::Seconds(10);
  LogLevels log_levels;
  LogFormat log_format = LogFormat::kJson;
};

// Of a request, JSON or not: a full batch of transfers, each as long as it can be.
inline constexpr int kRequestBytesMax = 8 << 20;

// By the cores that the process may use.
int QueuesFor(int cores);

// For process::Settings.
void DeclareSettings(CLI::App& app, ServiceOptions& options);
// What follows from those that were read; INVALID_ARGUMENT says what is wrong with them.
absl::Status FinishSettings(ServiceOptions& options);

}  // namespace waybill::ledger
