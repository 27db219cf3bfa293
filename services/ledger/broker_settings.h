// How waybill-ledger is told of RabbitMQ.
#pragma once

#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "services/ledger/broker_queues.h"

namespace waybill::ledger {

struct BrokerSettings {
  std::string url;  // empty: no queues
  std::string ca;
  std::string client = "broker";
  int prefetch = 256;
  std::string retry_delays = "0s,1s,10s,1m,10m";
};

// --amqp-url, --amqp-ca, --amqp-client, --amqp-prefetch and --amqp-retry-delays.
void AddBrokerSettings(CLI::App& app, BrokerSettings& settings);
// What follows from them; nothing without an URL. INVALID_ARGUMENT names the setting that is wrong, and no secret.
absl::StatusOr<std::optional<BrokerOptions>> BrokerOptionsOf(const BrokerSettings& settings);

}  // namespace waybill::ledger
