// A service with clients that never pause, for tests that break something under them: nothing is lost, /readyz says
// what is down, and work resumes by itself.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/e2e/load.h"
#include "tests/e2e/stack.h"

namespace waybill::testing {

class UnderLoad : public ::testing::Test {
 protected:
  static constexpr int kClients = 16;
  static constexpr int kDrivers = 100;
  static constexpr absl::Duration kLongEnough = absl::Seconds(30);

  // One replica, "a", with a gateway that takes its time, so that orders are under way at any moment. Returns when
  // orders are being confirmed.
  void StartUnderLoad(StackOptions options);
  // Many more orders are confirmed from now on.
  void ExpectWork(absl::Duration within = kLongEnough);
  void ExpectReady();
  void ExpectNotReadyFor(const std::string& dependency);
  // Serves what it can: other replicas have the same Redis.
  void ExpectDegradedBy(const std::string& dependency);
  // Stops load and service.
  void ExpectNothingLost();
  std::string Log() { return replica_->process().Output(); }
  // For whoever reads the output of a long form.
  static void Print(const std::string& what, absl::Duration took);

  std::optional<Stack> stack_;
  OrderReplica* replica_ = nullptr;
  std::optional<Load> load_;
};

}  // namespace waybill::testing
