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

}  // namespace
}  // namespace waybill::process

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int file = memfd_create("settings", MFD_CLOEXEC);
  if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  waybill::process::Some some;
  std::ostringstream out, err;
  const std::optional<int> exit_code = waybill::process::Read(fmt::format("/proc/self/fd/{}", file), some, out, err);
  const std::string told = err.str();
  const bool one_line = told.find('\n') == told.size() - 1;
  const bool taken = !exit_code && told.empty() && some.workers >= 1 && some.workers <= 1'000;
  const bool refused = exit_code && *exit_code == 2 && one_line && out.str().empty();
  if (taken || refused) return 0;
  std::fprintf(stderr, "exit code %d, workers %d, told:\n%s", exit_code.value_or(-1), some.workers, told.c_str());
  std::abort();
}
