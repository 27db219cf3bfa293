// Load on reads of one order, closed loop: the same method by gRPC and by the Connect protocol with JSON.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/pacer.h"

namespace waybill::bench {

struct ReadOptions {
  std::string target;    // host:port, of gRPC or of HTTP
  std::string order_id;  // as MakeOrder answered
  int callers = 64;      // each waits for its answer; by HTTP each has a connection, which is kept
  absl::Duration warm_up;
  absl::Duration duration;
};

// An order to read, by gRPC.
absl::StatusOr<std::string> MakeOrder(const std::string& target);

// Answers a second in the window. An error when one is not OK.
absl::StatusOr<double> ReadByGrpc(const ReadOptions& options, const Timer& timer);
absl::StatusOr<double> ReadByConnect(const ReadOptions& options, const Timer& timer);

}  // namespace waybill::bench
