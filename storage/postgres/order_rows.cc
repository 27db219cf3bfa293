#include "storage/postgres/order_rows.h"

#include <optional>

#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace waybill::storage {

const std::string& SelectOrder() {
  static const std::string& sql = *new std::string(fmt::format(
      "SELECT s.order_id, {}, "
      "s.client, s.idempotency_key, s.fingerprint, s.user_id, s.amount_minor, s.currency, s.pickup_lat, s.pickup_long, "
      "s.metadata, "
      "p.gateway_reference, p.amount_minor, p.charged_at, p.refund_minor, p.refunded_at, "
      // Not in the join's condition: with stale statistics the planner would read all active assignments for one order.
      "CASE WHEN a.released_at IS NULL THEN a.driver_id END, a.slot "
      "FROM order_sagas s LEFT JOIN payments p ON p.order_id = s.order_id "
      "LEFT JOIN order_assignments a ON a.order_id = s.order_id",
      kHeaderColumns));
  return sql;
}

OrderRecord DecodeOrder(const Rows& rows, int row) {
  OrderRecord record;
  static_cast<saga::Header&>(record) = DecodeHeader(rows, row);
  Order& order = record.payload;
  order.client = std::string(rows.Text(row, 12));
  order.idempotency_key = std::string(rows.Text(row, 13));
  order.fingerprint = std::string(rows.Bytes(row, 14));
  order.user_id = std::string(rows.Text(row, 15));
  order.amount_minor = rows.Int(row, 16);
  order.currency = std::string(rows.Text(row, 17));
  if (!rows.IsNull(row, 18)) order.pickup = GeoPoint{rows.Double(row, 18), rows.Double(row, 19)};
  if (!rows.IsNull(row, 20)) order.metadata = DecodeMetadata(rows.Json(row, 20));
  if (!rows.IsNull(row, 21))
    order.charge = Charge{std::string(rows.Text(row, 21)), rows.Int(row, 22), rows.Time(row, 23)};
  if (!rows.IsNull(row, 24)) order.refund = Refund{rows.Int(row, 24), rows.Time(row, 25)};
  if (!rows.IsNull(row, 26))
    order.driver = DriverSlot{std::string(rows.Text(row, 26)), static_cast<int>(rows.Int(row, 27))};
  return record;
}

std::string EncodeMetadata(const std::map<std::string, std::string>& metadata) {
  if (metadata.empty()) return "";
  return nlohmann::json(metadata).dump();
}

std::map<std::string, std::string> DecodeMetadata(std::string_view json) {
  return nlohmann::json::parse(json).get<std::map<std::string, std::string>>();
}

}  // namespace waybill::storage
