// The settings of waybill-ledger.
#pragma once

#include <cstddef>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/log.h"
#include "services/ledger/broker_settings.h"
#include "services/process/exposure.h"
#include "services/process/identity.h"
#include "services/process/limits.h"
#include "services/process/tracing.h"

namespace waybill::ledger {

struct ServiceOptions {
  std::string listen = "127.0.0.1:7440";
  std::string side_listen = "127.0.0.1:7441";
  std::string web_origins;  // with commas between
  process::Exposure exposure;
  std::string port_file;  // empty: none
  std::string database_url = "postgresql:///waybill";
  std::string redis_url = "redis://127.0.0.1:6379/0";
  bool migrate = false;
  absl::Duration store_wait = absl::Seconds(60);
  int queues = 1;  // as for two cores: QueuesFor
  int workers = 4;
  int writers = 1;
  size_t batch_max = 2'000;
  size_t queue_max = 100'000;
  size_t accounts_max = 100'000;
  process::IdentityOptions identity;
  process::LimitsOptions limits;
  process::TracingOptions tracing;
  BrokerSettings broker;
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
