#include "services/process/flags.h"

namespace waybill::process {

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

void AddLogFlags(CLI::App& app, LogLevel& level, LogFormat& format) {
  app.add_option_function<std::string>(
         "--log-level", [&level](const std::string& text) { level = *ParseLogLevel(text); }, "Of what goes to stderr")
      ->envname("WAYBILL_LOG_LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warn", "error", "off"}))
      ->default_str("info");
  app.add_option_function<std::string>(
         "--log-format", [&format](const std::string& text) { format = *ParseLogFormat(text); },
         "Of what goes to stderr")
      ->envname("WAYBILL_LOG_FORMAT")
      ->check(CLI::IsMember({"json", "text"}))
      ->default_str("json");
}

}  // namespace waybill::process
