// What is traced, and where spans go: the settings of it, and what they make.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "edge/otlp/exporter.h"
#include "runtime/build.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/trace.h"

namespace waybill::process {

struct TracingOptions {
  std::string endpoint;  // "": nothing is traced
  std::string ca;        // path; "": those of this machine
  // Of traces that begin here. Shared with the tracer, so that it can change.
  std::shared_ptr<std::atomic<double>> ratio = std::make_shared<std::atomic<double>>(0.01);
};

// --otlp-endpoint, --otlp-ca and --trace-ratio.
void AddTracingSettings(CLI::App& app, TracingOptions& options);
// INVALID_ARGUMENT names the settings that contradict each other.
absl::Status CheckTracing(const TracingOptions& options);

class Tracing {
 public:
  // `service` and `instance` are said of every span. INVALID_ARGUMENT: the CA cannot be read. All outlive it, and it
  // outlives whatever traces.
  static absl::StatusOr<std::unique_ptr<Tracing>> Open(const TracingOptions& options, const std::string& service,
                                                       const std::string& instance, const Build& build,
                                                       const Clock& clock, Random& random, Metrics& metrics,
                                                       const Logger& log);

  // Null: nothing is traced.
  Tracer* tracer() { return tracer_ ? &*tracer_ : nullptr; }
  void Start(const Loops& loops);
  // Last of all that traces: what is left is sent until `deadline`.
  void Stop(SteadyTime deadline);

 private:
  std::shared_ptr<std::atomic<double>> ratio_;
  const Clock* clock_ = nullptr;  // of one that traces
  std::optional<otlp::Exporter> exporter_;
  std::optional<Tracer> tracer_;
};

}  // namespace waybill::process
