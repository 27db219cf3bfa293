// The HTTP port for probes and Prometheus, beside the port that serves traffic:
//   /livez    200 while the process runs; touches nothing else
//   /readyz   200, or 503 naming what is down; 200 and "degraded" where the rest is served; `?verbose` lists every
//   check /metrics  Prometheus text 0.0.4; a JSON snapshot when Accept asks for application/json
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/readiness.h"

namespace waybill {

struct SidePortOptions {
  std::string listen = "127.0.0.1:0";  // host:port or [IPv6]:port; port 0 takes a free one; [::] takes IPv4 too
  size_t connections_max = 64;         // at once; others wait for their turn
  // A client that has not sent its request, or not taken its answer, by then is cut off: hanging ones hold up nobody.
  absl::Duration request_timeout = absl::Seconds(2);
  absl::Duration answer_timeout = absl::Seconds(5);
};

class SidePort {
 public:
  // INVALID_ARGUMENT: `listen` is not an address; UNAVAILABLE: it cannot be bound. The rest outlives the side port.
  static absl::StatusOr<std::unique_ptr<SidePort>> Start(const SidePortOptions& options, const Metrics& metrics,
                                                         const Readiness& readiness, const Logger& log);
  ~SidePort();  // stops, after the answers under way
  SidePort(const SidePort&) = delete;
  SidePort& operator=(const SidePort&) = delete;

  int port() const { return port_; }

 private:
  class Server;
  SidePort(std::unique_ptr<Server> server, int port);

  std::unique_ptr<Server> server_;
  int port_;
};

}  // namespace waybill
