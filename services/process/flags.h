// Flags that every service has, so that they are the same everywhere.
#pragma once

#include <string>

#include "CLI/CLI.hpp"
#include "absl/time/time.h"
#include "runtime/log.h"

namespace waybill::process {

// A duration above zero and up to `max`, such as 1.5s or 200ms; its present value is the default.
void AddDuration(CLI::App& app, const std::string& name, absl::Duration& value, const std::string& help,
                 absl::Duration max = absl::InfiniteDuration());

// --log-level and --log-format.
void AddLogFlags(CLI::App& app, LogLevel& level, LogFormat& format);

}  // namespace waybill::process
