// A loopback port for a server that comes, is killed and comes back. It stays bound without listening: servers that set
// SO_REUSEADDR can listen there, and neither port 0 nor an outgoing connection takes it meanwhile.
#pragma once

#include "absl/status/statusor.h"

namespace waybill::bench {

class ReservedPort {
 public:
  static absl::StatusOr<ReservedPort> Take();  // UNAVAILABLE
  ~ReservedPort();
  ReservedPort(ReservedPort&& other) noexcept;
  ReservedPort& operator=(ReservedPort&&) = delete;

  int port() const { return port_; }

 private:
  ReservedPort(int fd, int port) : fd_(fd), port_(port) {}

  int fd_;
  int port_;
};

}  // namespace waybill::bench
