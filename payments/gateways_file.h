// The file that gateways and rules are read from.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "payments/gateway.h"

namespace waybill::payments {

// From TOML: a table [[gateway]] for each gateway, at least one, and a table [[rule]] for each rule. INVALID_ARGUMENT
// names line, field and what is wrong; with one mistake there is nothing at all. `source` is the file's name, for
// messages.
absl::StatusOr<Routes> ParseRoutes(std::string_view text, std::string_view source);
// INVALID_ARGUMENT also when the file cannot be read.
absl::StatusOr<Routes> ReadRoutes(const std::string& path);

// Whether the same gateways are at the same addresses, and are captured alike: what a running process can change to.
bool SameGateways(const Routes& a, const Routes& b);

// "north weight 100 cost 15000 ppm; …", for people; without addresses.
std::string Describe(const Routes& routes);

}  // namespace waybill::payments
