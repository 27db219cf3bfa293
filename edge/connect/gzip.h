// gzip, as HTTP and Connect carry it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace waybill::connect {

std::string Gzip(std::string_view plain);

// INVALID_ARGUMENT: not gzip, cut short, or followed by something else; RESOURCE_EXHAUSTED: more than `bytes_max` come
// out of it. Nothing beyond that is unpacked.
absl::StatusOr<std::string> Gunzip(std::string_view packed, size_t bytes_max);

}  // namespace waybill::connect
