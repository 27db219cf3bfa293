// What stands before the instances of a service over HTTP: Debian's haproxy, which gives its connections' requests to
// one after the other, and leaves out those that take no connection.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/child.h"

namespace waybill::bench {

struct BalancerOptions {
  std::filesystem::path binary;
  std::filesystem::path folder;  // of its configuration and its log
  std::string name;              // of these files
  int port = 0;                  // on loopback, a reserved one (bench/reserved_port.h)
  std::vector<int> instances;    // their ports, on loopback
};

// It serves when this returns. NOT_FOUND: there is no such binary; INTERNAL, DEADLINE_EXCEEDED: it did not start.
absl::StatusOr<std::unique_ptr<Child>> StartBalancer(const BalancerOptions& options);

}  // namespace waybill::bench
