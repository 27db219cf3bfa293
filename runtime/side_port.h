// The HTTP port for probes and Prometheus, beside the port that serves traffic:
//   /livez    200 while the process runs; touches nothing else
//   /readyz   200, or 503 naming what is down; `?verbose` lists every check
//   /metrics  Prometheus text 0.0.4; a JSON snapshot when Accept asks for application/json
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/readiness.h"

class CivetServer;

namespace waybill {

struct SidePortOptions {
  std::string listen = "127.0.0.1:0";  // IPv4 host:port; port 0 takes a free one
  int threads = 8;                     // connections served at once
  // A client that has not sent its request by then is cut off, so that hanging clients free their threads.
  absl::Duration request_timeout = absl::Seconds(2);
};

class SidePort {
 public:
  // INVALID_ARGUMENT: `listen` is not an address; UNAVAILABLE: it cannot be bound. The rest outlives the side port.
  static absl::StatusOr<std::unique_ptr<SidePort>> Start(const SidePortOptions& options, const Metrics& metrics,
                                                         Readiness& readiness, const Logger& log);
  ~SidePort();  // stops, after the requests in flight
  SidePort(const SidePort&) = delete;
  SidePort& operator=(const SidePort&) = delete;

  int port() const { return port_; }

 private:
  friend struct SidePortHandler;
  SidePort(const Metrics& metrics, Readiness& readiness, const Logger& log);

  const Metrics& metrics_;
  Readiness& readiness_;
  const Logger& log_;
  std::string host_;
  int port_ = 0;
  std::unique_ptr<CivetServer> server_;
};

}  // namespace waybill
