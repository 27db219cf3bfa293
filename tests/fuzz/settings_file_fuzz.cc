// A settings file of any bytes: it is taken, or refused in one line; and what is taken is in force as it stands there.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "fmt/format.h"
#include "runtime/toml.h"
#include "services/process/flags.h"
#include "services/process/settings.h"

namespace waybill::process {
namespace {

struct Some {
  int workers = 4;
  std::string listen = "127.0.0.1:7410";
  std::vector<std::string> names;
  bool migrate = false;
};

std::optional<int> Read(const std::string& path, Some& some, std::ostream& out, std::ostream& err) {
  CLI::App app("", "fuzzed");
  AddInteger(app, "--workers", some.workers, "Threads")->check(CLI::Range(1, 1'000));
  app.add_option("--listen", some.listen, "Where");
  app.add_option("--names", some.names, "Several")->delimiter(',');
  app.add_flag("--migrate", some.migrate, "First");
  Settings settings(app, "WAYBILL_FUZZED_", Build());
  const char* argv[] = {"fuzzed", "--config", path.c_str()};
  return settings.Read(
      3, argv, [] { return absl::OkStatus(); }, out, err);
}

// Each line as it stands there: whole numbers, texts and truths by themselves, and a list joined by its commas.
bool IsInForce(const std::string& text, const Some& some) {
  const absl::StatusOr<toml::table> file = ParseToml(text, "file");
  if (!file.ok()) return false;
  const Some by_default;
  const auto value_of = [&](const char* name) { return (*file)[name]; };
  const bool workers = some.workers == value_of("workers").value_or(int64_t{by_default.workers});
  const bool listen = !value_of("listen").is_string() || some.listen == *value_of("listen").value<std::string>();
  const bool migrate = !value_of("migrate").is_boolean() || some.migrate == *value_of("migrate").value<bool>();
  const toml::array* list = value_of("names").as_array();
  const bool names = (list == nullptr && !value_of("names")) == some.names.empty();
  return workers && listen && migrate && names && some.workers >= 1 && some.workers <= 1'000;
}

}  // namespace
}  // namespace waybill::process

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int file = memfd_create("settings", MFD_CLOEXEC);
  if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  waybill::process::Some some;
  std::ostringstream out, err;
  const std::optional<int> exit_code = waybill::process::Read(fmt::format("/proc/self/fd/{}", file), some, out, err);
  const std::string told = err.str();
  const bool one_line = !told.empty() && told.find('\n') == told.size() - 1;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const bool taken = !exit_code && told.empty() && waybill::process::IsInForce(text, some);
  const bool refused = exit_code && *exit_code == 2 && one_line && out.str().empty();
  if (taken || refused) return 0;
  std::fprintf(stderr, "exit code %d, workers %d, told:\n%s", exit_code.value_or(-1), some.workers, told.c_str());
  std::abort();
}
