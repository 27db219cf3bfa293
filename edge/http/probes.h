// For probes and Prometheus, on the HTTP port:
//   /livez    200 while the process runs; touches nothing else
//   /readyz   200, or 503 naming what is down; 200 and "degraded" where the rest is served; `?verbose` lists every
//   check /metrics  Prometheus text 0.0.4; a JSON snapshot when Accept asks for application/json
#pragma once

#include "edge/http/server.h"
#include "runtime/metrics.h"
#include "runtime/readiness.h"

namespace waybill::http {

// All outlive the server.
void AddProbes(Server& server, const Metrics& metrics, const Readiness& readiness);

}  // namespace waybill::http
