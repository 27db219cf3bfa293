// The settings of waybill-sandbox.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "payments/webhooks/signature.h"
#include "runtime/log.h"
#include "services/process/exposure.h"
#include "services/sandbox/behaviour.h"
#include "services/sandbox/processor.h"

namespace waybill::sandbox {

// A gateway that is played beside the one of --listen.
struct GatewayOptions {
  std::string name;
  std::string listen;
  bool redirects = false;
  absl::Duration expires = absl::Minutes(15);  // of a redirect one's checkout
  int64_t fee_ppm = 0;
  std::string webhook_url;  // empty: none are sent
  payments::Scheme webhook_scheme = payments::Scheme::kStandard;
  std::string webhook_secret_file;
  std::string checkout_url;  // what a redirect one's begin with, where proxies lead to its page; empty: this process's
  std::string return_url;    // where payers go from the checkout page; empty: nowhere
};

struct ServiceOptions {
  std::string listen = "127.0.0.1:7420";
  std::string side_listen = "127.0.0.1:7421";
  process::Exposure exposure;
  std::string port_file;  // empty: none
  std::string log;        // the books' file
  int drivers = 1000;
  std::optional<uint64_t> seed;  // none: a new one each start
  std::string webhook_url;       // empty: none are sent
  std::string webhook_secret_file;
  std::string checkout_url;                 // empty: none are named
  std::vector<std::string> gateways;        // NAME=HOST:PORT,KEY=VALUE…
  int64_t gateway_fee_ppm = 0;              // of the gateway of `listen`
  std::vector<std::string> processors;      // NAME=HOST:PORT
  std::vector<std::string> processor_fees;  // NAME=PPM
  std::string processor_currency = "EUR";
  absl::Duration processor_health_every = absl::Seconds(5);
  Behaviour gateway;
  Behaviour dispatcher;
  LogLevels log_levels;
  LogFormat log_format = LogFormat::kJson;
};

// For process::Settings.
void DeclareSettings(CLI::App& app, ServiceOptions& options);
// INVALID_ARGUMENT: what is wrong with those that were read.
absl::Status FinishSettings(ServiceOptions& options);

// INVALID_ARGUMENT: what is wrong with a gateway's flag.
absl::StatusOr<std::vector<GatewayOptions>> GatewaysOf(const ServiceOptions& options);
// INVALID_ARGUMENT: what is wrong with a processor's flag.
absl::StatusOr<std::vector<ProcessorOptions>> ProcessorsOf(const ServiceOptions& options);

// The arguments to start again with, on the addresses that are bound now. `args` is without the program's name.
std::vector<std::string> RestartArguments(const std::vector<std::string>& args, const std::string& listen,
                                          const std::string& side_listen);

// "host:0" with the port that was bound.
std::string BoundAddress(const std::string& listen, int port);

}  // namespace waybill::sandbox
