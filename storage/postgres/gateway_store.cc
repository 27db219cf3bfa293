#include "storage/postgres/gateway_store.h"

#include "fmt/format.h"
#include "storage/postgres/audit_log.h"

namespace waybill::storage {

absl::StatusOr<std::vector<GatewaySetting>> PostgresGatewayStore::Settings() {
  absl::StatusOr<Pool::Lease> connection = reads_.Acquire();
  if (!connection.ok()) return connection.status();
  absl::StatusOr<Rows> rows =
      (*connection)->Execute("SELECT gateway, drained, weight FROM gateway_settings ORDER BY gateway", {});
  if (!rows.ok()) return rows.status();
  std::vector<GatewaySetting> settings;
  for (int row = 0; row < rows->size(); ++row) {
    GatewaySetting& setting = settings.emplace_back();
    setting.gateway = rows->Text(row, 0);
    setting.drained = rows->Bool(row, 1);
    if (!rows->IsNull(row, 2)) setting.weight = static_cast<int>(rows->Int(row, 2));
  }
  return settings;
}

absl::Status PostgresGatewayStore::SetDrained(const std::string& gateway, bool drained, const domain::Deed& deed) {
  const DeedRow row(deed);
  std::vector<Param> params = {Param::Text(gateway), Param::Bool(drained)};
  row.AddTo(params);
  absl::StatusOr<Pool::Lease> connection = writes_.Acquire();
  if (!connection.ok()) return connection.status();
  return (*connection)
      ->Execute(fmt::format("WITH changed AS (INSERT INTO gateway_settings (gateway, drained) "
                            "SELECT $1::text, $2::boolean WHERE $2::boolean "
                            "OR EXISTS (SELECT FROM gateway_settings WHERE gateway = $1::text) "
                            "ON CONFLICT (gateway) DO UPDATE SET drained = EXCLUDED.drained, changed_at = now() "
                            "WHERE gateway_settings.drained <> EXCLUDED.drained RETURNING 1) {}FROM changed",
                            InsertDeed(3)),
                params)
      .status();
}

absl::Status PostgresGatewayStore::SetWeight(const std::string& gateway, int weight, const domain::Deed& deed) {
  const DeedRow row(deed);
  std::vector<Param> params = {Param::Text(gateway), weight == 0 ? Param::Null(kOidInt8) : Param::Int8(weight)};
  row.AddTo(params);
  absl::StatusOr<Pool::Lease> connection = writes_.Acquire();
  if (!connection.ok()) return connection.status();
  return (*connection)
      ->Execute(
          fmt::format("WITH changed AS (INSERT INTO gateway_settings (gateway, weight) "
                      "VALUES ($1::text, $2::bigint) "
                      "ON CONFLICT (gateway) DO UPDATE SET weight = EXCLUDED.weight, changed_at = now() "
                      "WHERE gateway_settings.weight IS DISTINCT FROM EXCLUDED.weight RETURNING 1) {}FROM changed",
                      InsertDeed(3)),
          params)
      .status();
}

}  // namespace waybill::storage
