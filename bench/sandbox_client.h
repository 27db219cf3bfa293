// The sandbox's admin service: makes the gateway misbehave, reads its books.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/books.h"

namespace waybill::bench {

class SandboxClient {
 public:
  explicit SandboxClient(const std::string& target);  // host:port
  ~SandboxClient();

  // Whether charges are never answered and never executed. Else the gateway is well-behaved and answers at once.
  absl::Status LoseCharges(bool lose);
  absl::StatusOr<std::vector<GatewayEntry>> Books();

 private:
  struct Stub;
  std::unique_ptr<Stub> stub_;
};

}  // namespace waybill::bench
