// How a service is told what to do: each setting is a flag, an environment variable and a line of a TOML file. A flag
// wins over the variable, and that over the file. All of it, --help and docs/configuration.md come from one place: the
// flags as the service declares them.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "runtime/build.h"
#include "runtime/log.h"

namespace waybill::process {

// What is in force.
struct Setting {
  std::string name;   // of the flag, and of the line in the file: log-level
  std::string value;  // as it was written; "": none
  std::string from;   // "flag", the variable's name, "file:line", or "default"

  bool operator==(const Setting&) const = default;
};

class Settings {
 public:
  // `app` has all of the service's settings, and outlives this. Those without a variable get one, of `prefix` and their
  // name: WAYBILL_ORDER_QUEUES. Adds what is no setting: --config, --print-config, --list-settings, --version and
  // --list-failpoints.
  Settings(CLI::App& app, const std::string& prefix, const Build& build);

  // Reads all three, and then asks `check` what contradicts what, which names settings as flags. An exit code when
  // nothing is to be run: 0 after --help and the like, which are answered on `out`; 2 after a mistake, which is told on
  // `err` in one line.
  std::optional<int> Read(int argc, const char* const* argv, const std::function<absl::Status()>& check,
                          std::ostream& out, std::ostream& err);

  // After Read, in the order of their declaration. Values may hold passwords.
  std::vector<Setting> InForce() const;

 private:
  void Adopt(CLI::App& group, const std::string& prefix);
  void RefuseEmptyValues(const std::vector<std::string>& flags) const;
  std::vector<std::string> Values(const std::vector<std::string>& flags) const;
  // The settings of the file that neither a flag nor a variable overrules, as flags.
  std::vector<std::string> ReadFile(const std::string& path, const std::vector<std::string>& flags);
  // The message, with where those settings come from that it names as flags.
  std::string WithOrigins(std::string message) const;
  void Print(std::ostream& out) const;
  void List(std::ostream& out) const;

  CLI::App& app_;
  std::vector<CLI::Option*> options_;  // the settings
  CLI::Option* config_;
  std::map<const CLI::Option*, std::string> origins_;  // of those that are set
  bool print_ = false;
  bool list_ = false;
};

// Those that a running service takes over from a changed file: log-level, log-levels, trace-ratio.
bool CanChange(std::string_view setting);

// A service as its settings need it. Options is a struct of the service's own, with log_levels and a log_format.
template <typename Options>
struct Service {
  std::string name;    // waybill-order
  std::string prefix;  // of variables: WAYBILL_ORDER_
  void (*declare)(CLI::App& app, Options& options);
  absl::Status (*finish)(Options& options);  // after they were read; INVALID_ARGUMENT says what is wrong
  Build build;                               // for --version
};

// As Settings::Read, into `options`. `in_force` is set when there is something to run.
template <typename Options>
std::optional<int> ReadSettings(const Service<Options>& service, int argc, const char* const* argv, Options& options,
                                std::vector<Setting>& in_force, std::ostream& out, std::ostream& err) {
  CLI::App app("", service.name);
  service.declare(app, options);
  Settings settings(app, service.prefix, service.build);
  std::optional<int> exit_code = settings.Read(
      argc, argv, [&] { return service.finish(options); }, out, err);
  if (!exit_code) in_force = settings.InForce();
  return exit_code;
}

// Of what was read again takes over what can change; the log says of all that has changed whether it is. `levels` are
// those of `read`. `changed` is told of each that is taken over.
using OnSettingChange = std::function<void(const Setting& before, const Setting& after)>;
void TakeOver(std::vector<Setting>& in_force, const std::vector<Setting>& read, const LogLevels& levels, Logger& log,
              const OnSettingChange& changed = {});

// At SIGHUP. Of `options`, which the service is reading, only what is shared and atomic changes.
template <typename Options>
void ReadSettingsAgain(const Service<Options>& service, int argc, const char* const* argv, Options& options,
                       std::vector<Setting>& in_force, Logger& log, const OnSettingChange& changed = {}) {
  Options fresh;
  std::vector<Setting> read;
  std::ostringstream told;
  if (ReadSettings(service, argc, argv, fresh, read, told, told)) {
    log.Error("settings are as before: they could not be read", {{"error", told.str()}});
  } else {
    if constexpr (requires { options.tracing; }) options.tracing.ratio->store(fresh.tracing.ratio->load());
    TakeOver(in_force, read, fresh.log_levels, log, changed);  // last: it tells
  }
}

}  // namespace waybill::process
