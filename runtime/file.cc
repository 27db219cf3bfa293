#include "runtime/file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "absl/status/status.h"
#include "fmt/format.h"

namespace waybill {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  if (std::error_code unknown; std::filesystem::is_directory(path, unknown)) {
    return absl::InvalidArgumentError(path + " is a directory");
  }
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) return absl::InvalidArgumentError(fmt::format("{}: {}", path, std::strerror(errno)));
  return text;
}

}  // namespace waybill
