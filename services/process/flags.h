// Flags that every service has, so that they are the same everywhere, and how every program reads a whole number.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "CLI/CLI.hpp"
#include "absl/time/time.h"
#include "runtime/log.h"

namespace waybill::process {

// Leaves in `text` a whole number as CLI11 reads it alike in every notation, without leading zeros; else says what is
// wrong with it. "" when nothing is. `min` is not above zero, `max` not below.
std::string CheckInteger(std::string& text, int64_t min, uint64_t max);

// A whole number in decimal digits, into an integer or an optional one. Whoever adds it sets limits, default and type
// name, as after add_option, which must not be used for integers: CLI11 takes 0100 there for an octal 64.
template <typename T>
CLI::Option* AddInteger(CLI::App& app, const std::string& name, T& value, const std::string& help) {
  using Integer = typename std::conditional_t<std::is_integral_v<T>, std::optional<T>, T>::value_type;
  static_assert(std::is_integral_v<Integer>);
  using Limits = std::numeric_limits<Integer>;
  return app.add_option(name, value, help)
      ->transform(CLI::Validator([](std::string& text) { return CheckInteger(text, Limits::min(), Limits::max()); },
                                 /*validator_desc=*/""));
}

// Checks a number with a fraction: from `min` to `max`. CLI::Range lets nan pass, which then compares false with all.
CLI::Validator NumberBetween(double min, double max);

// A duration above zero and up to `max`, such as 1.5s or 200ms; its present value is the default. A century fits into
// every clock, also when it is added to now; what is infinite, or three centuries, does not.
void AddDuration(CLI::App& app, const std::string& name, absl::Duration& value, const std::string& help,
                 absl::Duration max = absl::Hours(24 * 36'525));

// The cores that this process may use, for defaults that follow the machine: those that it may run on, or fewer where
// its container has a quota (cgroup v2).
int Cores();
// From how many it may run on, and what cpu.max of its cgroup says, as "150000 100000"; "" where there is none. Begun
// cores count; at least 1.
int CoresOf(unsigned runnable, std::string_view cpu_max);

// --log-level, --log-levels and --log-format.
void AddLogFlags(CLI::App& app, LogLevels& levels, LogFormat& format);

}  // namespace waybill::process
