// What operators have said of payment gateways while the services run, in place of what their file says.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "domain/deed.h"

namespace waybill::storage {

struct GatewaySetting {
  std::string gateway;
  bool drained = false;       // no new order goes there; those that are there end there
  std::optional<int> weight;  // nothing: the file's

  friend bool operator==(const GatewaySetting&, const GatewaySetting&) = default;
};

// Thread-safe; every call blocks on the store. STORE_UNAVAILABLE when it does not answer.
class GatewayStore {
 public:
  virtual ~GatewayStore() = default;

  // By name. A gateway of which nothing was said is not there.
  virtual absl::StatusOr<std::vector<GatewaySetting>> Settings() = 0;

  // Durable when they return. The deed is in the audit exactly when something has changed.
  virtual absl::Status SetDrained(const std::string& gateway, bool drained, const domain::Deed& deed) = 0;
  // 0: the file's counts again.
  virtual absl::Status SetWeight(const std::string& gateway, int weight, const domain::Deed& deed) = 0;
};

}  // namespace waybill::storage
