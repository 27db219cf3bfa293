// The settings of waybill-realtime.
#pragma once

#include <cstddef>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "edge/tls/credentials.h"
#include "runtime/log.h"
#include "services/realtime/order_channels.h"
#include "services/realtime/session.h"

namespace waybill::realtime {

struct ServiceOptions {
  std::string listen = "127.0.0.1:7450";
  std::string side_listen = "127.0.0.1:7451";
  tls::Files tls;  // none: plain
  bool expose_plain = false;
  std::string web_origins;  // empty: no page may connect
  std::string token_keys_file;
  std::string port_file;  // empty: none
  std::string database_url = "postgresql:///waybill";
  absl::Duration store_wait = absl::Seconds(60);
  ChannelOptions channels;
  SessionOptions sessions;
  size_t connections_max = 20'000;
  size_t connections_per_address_max = 1'000;
  size_t connections_per_user_max = 20;
  absl::Duration ping_after = absl::Seconds(25);
  absl::Duration drain = absl::Seconds(10);
  LogLevels log_levels;
  LogFormat log_format = LogFormat::kJson;
};

// For process::Settings.
void DeclareSettings(CLI::App& app, ServiceOptions& options);
// INVALID_ARGUMENT says what is wrong with those that were read.
absl::Status FinishSettings(ServiceOptions& options);

}  // namespace waybill::realtime
