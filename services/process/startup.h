// What the main of every service that lives on Postgres does before it serves.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/shutdown.h"

namespace waybill::process {

// Waits until Postgres answers and has the schema; with `migrate`, brings it up to date. CANCELLED when asked to stop
// meanwhile; the last error when `wait_max` is over, or when waiting cannot help.
absl::Status AwaitSchema(const std::string& database_url, bool migrate, absl::Duration wait_max, const Clock& clock,
                         StopRequest& stop, const Logger& log);

// Writes "grpc=PORT" and "side=PORT", whole or not at all: whoever waits for the file may read it at once. An empty
// path writes nothing.
absl::Status WritePortFile(const std::string& path, int grpc_port, int side_port);

}  // namespace waybill::process
