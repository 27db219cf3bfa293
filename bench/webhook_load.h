// Load of signed webhooks on an HTTP server: an open loop, over connections that are kept.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/histogram.h"
#include "bench/pacer.h"

namespace waybill::bench {

struct WebhookLoadOptions {
  std::string target;               // host:port
  std::string path;                 // "/webhooks/NAME"
  std::string secret;               // of Standard Webhooks, "whsec_…"
  std::string run;                  // prefix of the events' ids, which are all different
  std::vector<std::string> bodies;  // in turns; at least one
  double rate = 2'000;              // webhooks a second, whatever becomes of them
  int connections = 64;             // one that is due while all are busy waits
  absl::Duration warm_up;
  absl::Duration duration;
};

struct WebhookLoadResult {
  Histogram latency;           // of those in the window, from the instant they were due
  std::map<int, int64_t> all;  // by status code, warm-up included
};

// UNAVAILABLE: a connection was not taken, or closed before its answer.
absl::StatusOr<WebhookLoadResult> SendWebhooks(const WebhookLoadOptions& options, const Timer& timer);

}  // namespace waybill::bench
