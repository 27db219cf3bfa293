// What a service counts by itself: read from its HTTP port for Prometheus.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace waybill::bench {

// A metric on a page of Prometheus' text format, summed over its labels. NOT_FOUND: it is not on the page.
absl::StatusOr<double> MetricOnPage(std::string_view page, std::string_view name);

// The same, of the page that the side port at `address` (IPv4 address:port) answers. UNAVAILABLE: it does not, within
// five seconds.
absl::StatusOr<double> ReadMetric(const std::string& address, std::string_view name);

}  // namespace waybill::bench
