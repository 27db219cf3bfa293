// What payment gateways say of themselves when they are asked: by one replica at a time, for all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace waybill::storage {

enum class ProbeOutcome {
  kHealthy,
  kFailing,
  kNoAnswer,  // in time, or none that can be understood: says nothing
  kLimited,   // it was asked too often, by somebody
  kNotServed  // it knows no such question
};
std::string_view ToString(ProbeOutcome outcome);  // "healthy", …: as in the table and in metrics

struct ProbeAnswer {
  ProbeOutcome outcome = ProbeOutcome::kNoAnswer;
  std::optional<absl::Duration> min_response;  // what it says that it takes at least; of kHealthy and kFailing
};

struct GatewayProbe {
  std::string gateway;
  std::string holder;                 // the instance that asked last
  absl::Duration due_in;              // until somebody may ask again; negative: since when
  std::optional<ProbeAnswer> answer;  // the newest; nothing: none so far
  absl::Time asked_at;                // when that was asked for, by the store's clock: two answers differ in it
  absl::Duration age;                 // since then
};

// Thread-safe; every call blocks on the store. STORE_UNAVAILABLE when it does not answer.
class GatewayProbeStore {
 public:
  virtual ~GatewayProbeStore() = default;

  // By name. A gateway that was never asked is not there.
  virtual absl::StatusOr<std::vector<GatewayProbe>> Probes() = 0;

  struct Claim {
    std::string gateway;
    int64_t epoch = 0;
  };
  // Of these gateways those that may be asked now. Whoever has the claim may ask once; nobody else has one for
  // `hold_for`, by the store's clock. Durable when it returns; with an error, it may be.
  virtual absl::StatusOr<std::vector<Claim>> ClaimProbes(const std::vector<std::string>& gateways,
                                                         const std::string& holder, absl::Duration hold_for) = 0;
  // What came of it; nobody may ask for `pause` from now. Nothing, when somebody has a newer claim.
  virtual absl::Status Answered(const Claim& claim, const ProbeAnswer& answer, absl::Duration pause) = 0;
};

}  // namespace waybill::storage
