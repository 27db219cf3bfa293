// The settings of waybill-race.
#pragma once

#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/log.h"
#include "services/race/front.h"

namespace waybill::race {

struct ServiceOptions {
  std::string listen = "127.0.0.1:9999";
  std::string side_listen = "127.0.0.1:7441";
  bool expose_plain = false;
  std::string port_file;                         // empty: none
  std::string orders = "grpc://127.0.0.1:7410";  // with commas between
  std::string ca;                                // empty: those of this machine
  std::string key_file;                          // empty: no key is shown
  FrontOptions front;
  absl::Duration drain = absl::Seconds(5);
  LogLevels log_levels;
  LogFormat log_format = LogFormat::kJson;
};

// One replica of waybill-order.
struct OrderAddress {
  std::string target;  // HOST:PORT
  bool tls = false;
};
// INVALID_ARGUMENT: one of them is none.
absl::StatusOr<std::vector<OrderAddress>> ParseOrderAddresses(const std::string& text);

// For process::Settings.
void DeclareSettings(CLI::App& app, ServiceOptions& options);
// INVALID_ARGUMENT says what is wrong with those that were read.
absl::Status FinishSettings(ServiceOptions& options);

}  // namespace waybill::race
