// What operators have said of gateways, in Postgres: gateway_settings.
#pragma once

#include <string>
#include <vector>

#include "storage/gateway_store.h"
#include "storage/postgres/pool.h"

namespace waybill::storage {

class PostgresGatewayStore final : public GatewayStore {
 public:
  // What is set is promised, so `writes` has connections that commit (WriteConnectionOptions).
  PostgresGatewayStore(Pool& writes, Pool& reads) : writes_(writes), reads_(reads) {}

  absl::StatusOr<std::vector<GatewaySetting>> Settings() override;
  absl::Status SetDrained(const std::string& gateway, bool drained, const domain::Deed& deed) override;
  absl::Status SetWeight(const std::string& gateway, int weight, const domain::Deed& deed) override;

 private:
  Pool& writes_;
  Pool& reads_;
};

}  // namespace waybill::storage
