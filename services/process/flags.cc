#include "services/process/flags.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

#include "fmt/format.h"

namespace waybill::process {

std::string CheckInteger(std::string& text, int64_t min, uint64_t max) {
  const bool negative = !text.empty() && text[0] == '-';
  const std::string digits = text.substr(!text.empty() && (negative || text[0] == '+') ? 1 : 0);
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) {
    return fmt::format("\"{}\" is not a whole number in decimal digits, such as 1250", text);
  }
  uint64_t size = 0;
  const bool fits =
      std::from_chars(digits.data(), digits.data() + digits.size(), size).ec != std::errc::result_out_of_range;
  if (negative && (!fits || size > 0 - static_cast<uint64_t>(min))) return fmt::format("{} is less than {}", text, min);
  if (!negative && (!fits || size > max)) return fmt::format("{} is more than {}", text, max);
  text = fmt::format("{}{}", negative && size > 0 ? "-" : "", size);
  return "";
}

CLI::Validator NumberBetween(double min, double max) {
  return CLI::Validator(
      [min, max](std::string& text) {
        double value = 0;
        if (!CLI::detail::lexical_cast(text, value) || std::isnan(value)) {
          return fmt::format("\"{}\" is not a number", text);
        }
        return value >= min && value <= max ? "" : fmt::format("{} is not from {:g} to {:g}", text, min, max);
      },
      fmt::format("FLOAT in [{:g} - {:g}]", min, max));
}

void AddDuration(CLI::App& app, const std::string& name, absl::Duration& value, const std::string& help,
                 absl::Duration max) {
  app.add_option_function<std::string>(
         name,
         [&value, name, max](const std::string& text) {
           absl::Duration parsed;
           if (!absl::ParseDuration(text, &parsed) || parsed <= absl::ZeroDuration()) {
             throw CLI::ValidationError(name, "is not a duration above zero, such as 1.5s or 200ms");
           }
           if (parsed > max) throw CLI::ValidationError(name, "is more than " + absl::FormatDuration(max));
           value = parsed;
         },
         help)
      ->type_name("DURATION")
      ->default_str(absl::FormatDuration(value));
}

int CoresOf(unsigned runnable, std::string_view cpu_max) {
  const auto cores = static_cast<int64_t>(std::max(runnable, 1U));
  std::istringstream text{std::string(cpu_max)};
  int64_t quota = 0, period = 0;
  if (!(text >> quota >> period) || quota <= 0 || period <= 0) return static_cast<int>(cores);  // "max 100000"
  return static_cast<int>(std::min(cores, (quota - 1) / period + 1));
}

int Cores() {
  cpu_set_t runnable;
  CPU_ZERO(&runnable);
  const bool known = sched_getaffinity(0, sizeof runnable, &runnable) == 0;  // not where there are over 1,024
  int cores = CoresOf(static_cast<unsigned>(known ? CPU_COUNT(&runnable) : sysconf(_SC_NPROCESSORS_ONLN)), "");
  // A quota may stand at any of the groups that this one is in.
  std::ifstream groups("/proc/self/cgroup");
  std::string group;
  while (std::getline(groups, group) && !group.starts_with("0::")) {
  }
  group = group.substr(std::min<size_t>(3, group.size()));
  while (true) {
    std::ifstream file("/sys/fs/cgroup" + group + "/cpu.max");
    std::string cpu_max;
    std::getline(file, cpu_max);
    cores = CoresOf(static_cast<unsigned>(cores), cpu_max);
    if (group.empty()) return cores;
    group.resize(std::min(group.rfind('/'), group.size() - 1));
  }
}

void AddLogFlags(CLI::App& app, LogLevels& levels, LogFormat& format) {
  app.add_option_function<std::string>(
         "--log-level", [&levels](const std::string& text) { levels.level = *ParseLogLevel(text); },
         "Of what goes to stderr")
      ->envname("WAYBILL_LOG_LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warn", "error", "off"}))
      ->default_str("info");
  app.add_option_function<std::string>(
         "--log-levels", [&levels](const std::string& text) { levels.packages = *ParsePackageLevels(text); },
         "Other levels for some packages, with commas between: services.order=debug,edge=warn (default: none)")
      ->envname("WAYBILL_LOG_LEVELS")
      ->check([](const std::string& text) { return std::string(ParsePackageLevels(text).status().message()); });
  app.add_option_function<std::string>(
         "--log-format", [&format](const std::string& text) { format = *ParseLogFormat(text); },
         "Of what goes to stderr")
      ->envname("WAYBILL_LOG_FORMAT")
      ->check(CLI::IsMember({"json", "text"}))
      ->default_str("json");
}

}  // namespace waybill::process
