// The settings that services have alike which serve calls over Postgres and Redis: their ports, their stores, and who
// may call how often.
#pragma once

#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/process/exposure.h"
#include "services/process/identity.h"
#include "services/process/limits.h"
#include "services/process/tracing.h"

namespace waybill::process {

struct ServerSettings {
  std::string listen;       // host:port
  std::string side_listen;  // host:port
  std::string web_origins;  // with commas between
  Exposure exposure;
  std::string port_file;  // empty: none
  std::string database_url = "postgresql:///waybill";
  std::string redis_url = "redis://127.0.0.1:6379/0";
  bool migrate = false;
  absl::Duration store_wait = absl::Seconds(60);
  IdentityOptions identity;
  LimitsOptions limits;
  TracingOptions tracing;
};

// --listen to --port-file. `prefix` of the variables of the first two: "WAYBILL_INGEST_".
void AddPortSettings(CLI::App& app, const std::string& prefix, ServerSettings& settings);
// --database-url to --store-wait. `redis` says what it is for.
void AddStoreSettings(CLI::App& app, const std::string& redis, ServerSettings& settings);

// INVALID_ARGUMENT says what is wrong with them. `methods`: "package.Service/Method" of all that a limit can be about.
absl::Status CheckServerSettings(const ServerSettings& settings, const std::vector<std::string>& methods);

}  // namespace waybill::process
