// Drivers for the bench's orders to be given to.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "storage/fleet.h"

namespace waybill::bench {

// Puts drivers "bench-0000000" … into the fleet, spread over a city, fresh for a day.
absl::Status SeedFleet(storage::Fleet& fleet, int64_t drivers, absl::Time now);
// The same for the fleet in a Redis, redis://host:port/database.
absl::Status SeedFleet(const std::string& redis_url, int64_t drivers);

}  // namespace waybill::bench
