// Small files, read as a whole.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace waybill {

// What is in it. INVALID_ARGUMENT names the file and says why it cannot be read: also of a directory, which a stream
// opens, and throws when it is read.
absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace waybill
