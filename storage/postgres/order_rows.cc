#include "storage/postgres/order_rows.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
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
      "CASE WHEN a.released_at IS NULL THEN a.driver_id END, a.slot, "
      // Only routed orders have any, which are of the second version or a later one, and nothing is looked for of
      // others.
      "(SELECT string_agg(concat_ws('=', t.gateway, t.state, CASE WHEN t.capture_later THEN 'later' END, "
      "(extract(epoch FROM t.authorized_at) * 1000000)::bigint, "
      "(extract(epoch FROM t.authorization_expires_at) * 1000000)::bigint), ' ' ORDER BY t.number) FROM "
      "payment_attempts t "
      "WHERE t.order_id = s.order_id AND s.version > 1), "
      // Only of those that may wait, or be asked once more, is another table looked at.
      "CASE WHEN s.state = 'running' THEN (SELECT c.token FROM pending_charges c WHERE c.order_id = s.order_id) "
      "END, "
      "CASE WHEN s.state = 'running' "
      "THEN (SELECT c.checkout_url FROM pending_charges c WHERE c.order_id = s.order_id) END, "
      "CASE WHEN s.state = 'running' "
      "THEN (SELECT c.expires_at FROM pending_charges c WHERE c.order_id = s.order_id) END, "
      "CASE WHEN p.parts > 0 THEN (SELECT jsonb_agg(jsonb_build_object('refund_id', r.refund_id, "
      "'saga_id', r.saga_id, 'amount_minor', r.amount_minor, 'reason', r.reason, 'state', r.state, "
      "'reference', r.reference, 'refusal', r.refusal, "
      "'begun_us', (extract(epoch FROM r.begun_at) * 1000000)::bigint, "
      "'decided_us', (extract(epoch FROM r.decided_at) * 1000000)::bigint) ORDER BY r.begun_at, r.refund_id) "
      "FROM partial_refunds r WHERE r.order_id = s.order_id) END, "
      "s.payer "
      "FROM order_sagas s LEFT JOIN payments p ON p.order_id = s.order_id "
      "LEFT JOIN order_assignments a ON a.order_id = s.order_id",
      kHeaderColumns));
  return sql;
}

namespace {

// "north=not_sent south=open", the first attempt first; behind the state of one that is captured later comes "=later",
// and once it is authorized, "=" and when, and "=" and when that expires, in microseconds.
void DecodeAttempts(RowReader& row, int column, std::vector<domain::PaymentAttempt>& attempts) {
  const std::vector<std::string> split = absl::StrSplit(row.Text(column), ' ');
  for (const std::string& one : split) {
    const std::vector<std::string> parts = absl::StrSplit(one, '=');
    const auto* state = std::find_if(std::begin(domain::kPaymentAttemptStates), std::end(domain::kPaymentAttemptStates),
                                     [&](auto known) { return parts.size() > 1 && parts[1] == domain::Name(known); });
    int64_t at_us = 0, expires_us = 0;
    if (state == std::end(domain::kPaymentAttemptStates) || parts.size() > 5 ||
        (parts.size() > 2 && parts[2] != "later") || (parts.size() > 3 && !absl::SimpleAtoi(parts[3], &at_us)) ||
        (parts.size() > 4 && !absl::SimpleAtoi(parts[4], &expires_us))) {
      row.Refuse("payment_attempts.state", fmt::format("is '{}'", one));
      return;
    }
    domain::PaymentAttempt& attempt = attempts.emplace_back();
    attempt.gateway = parts[0];
    attempt.state = *state;
    attempt.capture_later = parts.size() > 2;
    if (parts.size() > 3) attempt.authorization = domain::Authorization{absl::FromUnixMicros(at_us), std::nullopt};
    if (parts.size() > 4) attempt.authorization->expires = absl::FromUnixMicros(expires_us);
  }
}

}  // namespace

namespace {

// As the statement above builds them.
bool DecodeRefunds(std::string_view text, std::vector<domain::PartialRefund>& refunds) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) return false;
  for (const nlohmann::json& one : json) {
    domain::PartialRefund refund;
    const auto state = domain::PartialRefundState(one.value("state", ""));
    const std::optional<Uuid> saga_id = Uuid::Parse(one.value("saga_id", ""));
    if (!state || !saga_id) return false;
    refund.refund_id = one.value("refund_id", "");
    refund.saga_id = *saga_id;
    refund.amount_minor = one.value("amount_minor", int64_t{0});
    refund.reason = one.value("reason", "");
    refund.state = *state;
    refund.reference = one.value("reference", "");
    refund.refusal = one.value("refusal", "");
    refund.begun_at = absl::FromUnixMicros(one.value("begun_us", int64_t{0}));
    if (const auto decided = one.find("decided_us"); decided != one.end() && decided->is_number_integer()) {
      refund.decided_at = absl::FromUnixMicros(decided->get<int64_t>());
    }
    refunds.push_back(std::move(refund));
  }
  return true;
}

}  // namespace

absl::StatusOr<OrderRecord> DecodeOrder(const Rows& rows, int at) {
  RowReader row(rows, at);
  OrderRecord record;
  DecodeHeader(row, record);
  domain::Order& order = record.payload;
  constexpr int kOrder = 1 + kHeaderColumnCount;
  order.client = row.Text(kOrder);
  order.idempotency_key = row.Text(kOrder + 1);
  order.fingerprint = row.Bytes(kOrder + 2);
  order.user_id = row.Text(kOrder + 3);
  order.amount_minor = row.IntFrom(1, kOrder + 4, "amount_minor");
  order.currency = row.Text(kOrder + 5);
  if (!row.IsNull(kOrder + 6))
    order.pickup = domain::GeoPoint{row.Double(kOrder + 6, "pickup_lat"), row.Double(kOrder + 7, "pickup_long")};
  if (!row.IsNull(kOrder + 8)) {
    std::optional<std::map<std::string, std::string>> metadata = DecodeMetadata(row.Json(kOrder + 8, "metadata"));
    if (metadata.has_value()) {
      order.metadata = *std::move(metadata);
    } else {
      row.Refuse("metadata", "is no object of strings");
    }
  }
  if (!row.IsNull(kOrder + 9)) {
    order.charge = domain::Charge{row.Text(kOrder + 9), row.IntFrom(1, kOrder + 10, "payments.amount_minor"),
                                  row.Time(kOrder + 11, "charged_at")};
  }
  if (!row.IsNull(kOrder + 12))
    order.refund = domain::Refund{row.IntFrom(1, kOrder + 12, "refund_minor"), row.Time(kOrder + 13, "refunded_at")};
  if (!row.IsNull(kOrder + 14))
    order.driver = domain::DriverSlot{row.Text(kOrder + 14), static_cast<int>(row.IntFrom(1, kOrder + 15, "slot"))};
  if (!row.IsNull(kOrder + 16)) DecodeAttempts(row, kOrder + 16, order.attempts);
  if (!row.IsNull(kOrder + 17)) {
    order.pending = domain::PendingCharge{row.Text(kOrder + 17), row.Text(kOrder + 18), std::nullopt};
    if (!row.IsNull(kOrder + 19)) order.pending->expires = row.Time(kOrder + 19, "expires_at");
  }
  if (!row.IsNull(kOrder + 20)) {
    if (!DecodeRefunds(row.Json(kOrder + 20, "partial_refunds"), order.refunds)) {
      row.Refuse("partial_refunds", "cannot be read");
    }
    for (domain::PartialRefund& refund : order.refunds) {
      refund.order_id = record.id;
      refund.client = order.client;
      refund.currency = order.currency;
    }
  }
  if (!row.IsNull(kOrder + 21)) {
    order.payer = DecodePayer(row.Json(kOrder + 21, "payer"));
    if (!order.payer) row.Refuse("payer", "cannot be read");
  }
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

std::string EncodePayer(const domain::Payer& payer) {
  nlohmann::json object = nlohmann::json::object();
  for (const auto& [name, text] :
       {std::pair("card", &payer.card), std::pair("device", &payer.device), std::pair("address", &payer.address)}) {
    if (!text->empty()) object[name] = *text;
  }
  if (payer.position) object["position"] = {payer.position->latitude, payer.position->longitude};
  if (payer.account) object["account_us"] = absl::ToUnixMicros(*payer.account);
  return object.dump();
}

std::optional<domain::Payer> DecodePayer(std::string_view json) {
  const nlohmann::json object = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return std::nullopt;
  domain::Payer payer;
  for (const auto& [key, value] : object.items()) {
    if (key == "card" && value.is_string()) {
      payer.card = value.get<std::string>();
    } else if (key == "device" && value.is_string()) {
      payer.device = value.get<std::string>();
    } else if (key == "address" && value.is_string()) {
      payer.address = value.get<std::string>();
    } else if (key == "position" && value.is_array() && value.size() == 2 && value[0].is_number() &&
               value[1].is_number()) {
      payer.position = domain::GeoPoint{value[0].get<double>(), value[1].get<double>()};
    } else if (key == "account_us" && value.is_number_integer()) {
      payer.account = absl::FromUnixMicros(value.get<int64_t>());
    } else {
      return std::nullopt;
    }
  }
  return payer;
}

}  // namespace waybill::storage
