// What gateways say of themselves, in Postgres: gateway_probes.
#pragma once

#include <string>
#include <vector>

#include "storage/gateway_probes.h"
#include "storage/postgres/pool.h"

namespace waybill::storage {

class PostgresGatewayProbeStore final : public GatewayProbeStore {
 public:
  // A claim that is lost could be made twice, so `writes` has connections that commit (WriteConnectionOptions).
  PostgresGatewayProbeStore(Pool& writes, Pool& reads) : writes_(writes), reads_(reads) {}

  absl::StatusOr<std::vector<GatewayProbe>> Probes() override;
  absl::StatusOr<std::vector<Claim>> ClaimProbes(const std::vector<std::string>& gateways, const std::string& holder,
                                                 absl::Duration hold_for) override;
  absl::Status Answered(const Claim& claim, const ProbeAnswer& answer, absl::Duration pause) override;

 private:
  Pool& writes_;
  Pool& reads_;
};

}  // namespace waybill::storage
