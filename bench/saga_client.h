// The order service's SagaAdmin: says to sagas that wait what became of their steps.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"

namespace waybill::bench {

// Thread-safe.
class SagaClient {
 public:
  explicit SagaClient(const std::string& target);  // host:port
  ~SagaClient();

  // That the step has succeeded. An error, too, when the saga did not wait for that.
  absl::Status SignalSuccess(const std::string& saga_id, const std::string& step, const std::string& token);

 private:
  struct Stub;
  std::unique_ptr<Stub> stub_;
};

}  // namespace waybill::bench
