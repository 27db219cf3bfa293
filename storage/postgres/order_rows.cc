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

absl::StatusOr<OrderRecord> DecodeOrder(const Rows& rows, int at) {
  RowReader row(rows, at);
  OrderRecord record;
  DecodeHeader(row, record);
  domain::Order& order = record.payload;
  order.client = row.Text(12);
  order.idempotency_key = row.Text(13);
  order.fingerprint = row.Bytes(14);
  order.user_id = row.Text(15);
  order.amount_minor = row.IntFrom(1, 16, "amount_minor");
  order.currency = row.Text(17);
  if (!row.IsNull(18)) order.pickup = domain::GeoPoint{row.Double(18, "pickup_lat"), row.Double(19, "pickup_long")};
  if (!row.IsNull(20)) {
    std::optional<std::map<std::string, std::string>> metadata = DecodeMetadata(row.Json(20, "metadata"));
    if (metadata.has_value()) {
      order.metadata = *std::move(metadata);
    } else {
      row.Refuse("metadata", "is no object of strings");
    }
  }
  if (!row.IsNull(21)) {
    order.charge =
        domain::Charge{row.Text(21), row.IntFrom(1, 22, "payments.amount_minor"), row.Time(23, "charged_at")};
  }
  if (!row.IsNull(24)) order.refund = domain::Refund{row.IntFrom(1, 24, "refund_minor"), row.Time(25, "refunded_at")};
  if (!row.IsNull(26)) order.driver = domain::DriverSlot{row.Text(26), static_cast<int>(row.IntFrom(1, 27, "slot"))};
  if (!row.status().ok()) return row.status();
  return record;
}

std::string EncodeMetadata(const std::map<std::string, std::string>& metadata) {
  if (metadata.empty()) return "";
  return nlohmann::json(metadata).dump();
}

std::optional<std::map<std::string, std::string>> DecodeMetadata(std::string_view json) {
  const nlohmann::json object = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return std::nullopt;
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : object.items()) {
    if (!value.is_string()) return std::nullopt;
    metadata.emplace(key, value.get<std::string>());
  }
  return metadata;
}

}  // namespace waybill::storage
