// Asks payment gateways how they fare, in turn with all other replicas: each gateway is asked by one of them, and all
// learn the answer. Off the way of every order.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "payments/router.h"
#include "runtime/chores.h"
#include "runtime/clock.h"
#include "runtime/metrics.h"
#include "storage/gateway_probes.h"

namespace waybill::order {

struct ProberOptions {
  std::string instance;
  // The least time between two questions to a gateway, over all replicas: processors refuse more than one in 5 s.
  absl::Duration every = absl::Seconds(5);
  absl::Duration timeout = absl::Seconds(2);           // of a question
  absl::Duration not_served_for = absl::Minutes(5);    // whoever does not know the question is asked again after that
  absl::Duration retry_after_max = absl::Minutes(10);  // for longer nobody is believed
};

struct HealthAnswer {
  storage::ProbeAnswer answer;
  absl::Duration retry_after;  // of kLimited: what it asks for
};
// `done` is called once, within the timeout, on any thread.
using AskHealth = std::function<void(absl::Duration timeout, absl::AnyInvocable<void(HealthAnswer)> done)>;

class GatewayProber {
 public:
  // All outlive it, and it outlives what it has asked. `gateways` by name.
  GatewayProber(std::map<std::string, AskHealth> gateways, storage::GatewayProbeStore& store, payments::Router& router,
                const Clock& clock, Metrics& metrics, ProberOptions options);

  // Writes what was heard, reads what all have heard, and asks whom nobody may have asked lately. Blocks on the store
  // alone. How long until there is something to do.
  absl::StatusOr<absl::Duration> Turn();
  Chore TurnChore();

 private:
  struct Heard {
    storage::GatewayProbeStore::Claim claim;
    HealthAnswer answer;
  };

  absl::Status WriteHeard();
  absl::Status Ask(const std::vector<std::string>& due);
  absl::Duration PauseAfter(const HealthAnswer& answer) const;

  const std::map<std::string, AskHealth> gateways_;
  storage::GatewayProbeStore& store_;
  payments::Router& router_;
  const Clock& clock_;
  const ProberOptions options_;
  std::map<std::string, std::map<storage::ProbeOutcome, prometheus::Counter*>> outcomes_;

  std::mutex mutex_;          // over what follows
  std::vector<Heard> heard_;  // and not written yet
  size_t asking_ = 0;
};

}  // namespace waybill::order
