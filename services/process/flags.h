// Flags that every service has, so that they are the same everywhere.
#pragma once

#include <string>

#include "CLI/CLI.hpp"
#include "absl/time/time.h"
#include "runtime/log.h"

namespace waybill::process {

// A duration above zero and up to `max`, such as 1.5s or 200ms; its present value is the default. A century fits into
// every clock, also when it is added to now; what is infinite, or three centuries, does not.
void AddDuration(CLI::App& app, const std::string& name, absl::Duration& value, const std::string& help,
                 absl::Duration max = absl::Hours(24 * 36'525));

// --log-level and --log-format.
void AddLogFlags(CLI::App& app, LogLevel& level, LogFormat& format);

}  // namespace waybill::process
