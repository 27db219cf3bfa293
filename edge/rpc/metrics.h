// RPC metrics under the ecosystem's names (those of go-grpc-prometheus, code labels included: "OK", "NotFound").
#pragma once

#include <array>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "prometheus/counter.h"
#include "prometheus/histogram.h"
#include "runtime/metrics.h"

namespace waybill::rpc {

// One method's metrics: looked up once, then held. Every series exists from the start, at zero.
class MethodMetrics {
 public:
  // `type`: "unary", "server_stream", "bidi_stream".
  MethodMetrics(Metrics& metrics, const std::string& type, const std::string& service, const std::string& method);

  void Started() const { started_.Increment(); }
  void Handled(absl::StatusCode code, absl::Duration took) const;
  void Limited() const { limited_.Increment(); }

 private:
  prometheus::Counter& started_;
  prometheus::Counter& limited_;
  prometheus::Histogram& seconds_;
  std::array<prometheus::Counter*, 17> handled_;  // by code
};

}  // namespace waybill::rpc
