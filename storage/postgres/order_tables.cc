#include "storage/postgres/order_tables.h"

#include <optional>
#include <utility>

#include "storage/postgres/order_rows.h"

namespace waybill::storage {
namespace {

// Places among the bookings.
enum : uint8_t { kCharge, kRefund, kRelease, kBookings };

}  // namespace

OrderTables::OrderTables() {
  sql_.sagas = "order_sagas";
  sql_.id = "order_id";
  sql_.log = "order_saga_steps";
  sql_.begin = {{"client", kOidText, ""},       {"idempotency_key", kOidText, ""}, {"fingerprint", kOidBytea, ""},
                {"user_id", kOidText, ""},      {"amount_minor", kOidInt8, ""},    {"currency", kOidText, ""},
                {"pickup_lat", kOidFloat8, ""}, {"pickup_long", kOidFloat8, ""},   {"metadata", kOidText, "::jsonb"}};
  sql_.dedupe = "client, idempotency_key";
  // In the order of the index, so that two writers that want the same drivers never wait for each other in a circle.
  sql_.claim.columns = {{"driver_id", kOidText, ""}, {"slot", kOidInt2, ""}, {"assigned_at", kOidTimestamptz, ""}};
  sql_.claim.text =
      "INSERT INTO order_assignments (order_id, driver_id, slot, assigned_at) "
      "SELECT i.order_id, i.driver_id, i.slot, i.assigned_at FROM {rows} WHERE {allowed} "
      "ORDER BY i.driver_id, i.slot {lost}";
  // Under the lock that the table's own check takes, so that it does not find otherwise.
  sql_.claim.possible =
      "(i.slot = 1 OR i.slot <= (SELECT d.capacity FROM drivers d WHERE d.driver_id = i.driver_id FOR SHARE))";
  sql_.claim.lost = "ON CONFLICT (driver_id, slot) WHERE released_at IS NULL DO NOTHING";
  sql_.bookings.resize(kBookings);
  // A charge and its refund can become known together: an unknown charge that had landed after all.
  sql_.bookings[kCharge] = {
      {{"amount_minor", kOidInt8, ""},
       {"currency", kOidText, ""},
       {"gateway_reference", kOidText, ""},
       {"charged_at", kOidTimestamptz, ""},
       {"refund_minor", kOidInt8, ""},
       {"refunded_at", kOidTimestamptz, ""}},
      "INSERT INTO payments (order_id, amount_minor, currency, gateway_reference, charged_at, refund_minor, "
      "refunded_at) "
      "SELECT i.order_id, i.amount_minor, i.currency, i.gateway_reference, i.charged_at, i.refund_minor, "
      "i.refunded_at FROM {rows} WHERE {allowed}"};
  sql_.bookings[kRefund] = {
      {{"refund_minor", kOidInt8, ""}, {"refunded_at", kOidTimestamptz, ""}},
      "UPDATE payments p SET refund_minor = i.refund_minor, refunded_at = i.refunded_at FROM {rows} "
      "WHERE p.order_id = i.order_id AND p.order_id = ANY({ids}) AND {allowed}"};
  // Not "released_at IS NULL": planned while no driver is busy, that would read the index of all busy drivers for ever.
  sql_.bookings[kRelease] = {
      {{"released_at", kOidTimestamptz, ""}},
      "UPDATE order_assignments a SET released_at = i.released_at FROM {rows} "
      "WHERE a.order_id = i.order_id AND a.order_id = ANY({ids}) AND COALESCE(a.released_at, 'infinity') = 'infinity' "
      "AND {allowed}"};
  sql_.select = SelectOrder();
}

void OrderTables::AddBegin(const saga::Record& record, std::span<ArrayParam> columns) const {
  const domain::Order& order = saga::As<domain::Order>(record).payload;
  columns[0].AddText(order.client);
  columns[1].AddText(order.idempotency_key);
  columns[2].AddBytes(order.fingerprint);
  columns[3].AddText(order.user_id);
  columns[4].AddInt(order.amount_minor);
  columns[5].AddText(order.currency);
  columns[6].AddDouble(order.pickup ? std::optional(order.pickup->latitude) : std::nullopt);
  columns[7].AddDouble(order.pickup ? std::optional(order.pickup->longitude) : std::nullopt);
  if (order.metadata.empty()) {
    columns[8].AddNull();
  } else {
    columns[8].AddText(EncodeMetadata(order.metadata));
  }
}

void OrderTables::AddBookings(const saga::Record& record, BookedRows& rows) const {
  const domain::Order& order = saga::As<domain::Order>(record).payload;
  if (order.effects.claimed) {
    std::span<ArrayParam> columns = rows.Claim();
    columns[0].AddText(order.driver->driver_id);
    columns[1].AddInt(order.driver->slot);
    columns[2].AddTime(record.updated_at);
  }
  if (order.effects.charged) {
    std::span<ArrayParam> columns = rows.Book(kCharge);
    columns[0].AddInt(order.charge->amount_minor);
    columns[1].AddText(order.currency);
    columns[2].AddText(order.charge->gateway_reference);
    columns[3].AddTime(order.charge->at);
    if (order.effects.refunded) {
      columns[4].AddInt(order.refund->amount_minor);
      columns[5].AddTime(order.refund->at);
    } else {
      columns[4].AddNull();
      columns[5].AddNull();
    }
  } else if (order.effects.refunded) {
    std::span<ArrayParam> columns = rows.Book(kRefund);
    columns[0].AddInt(order.refund->amount_minor);
    columns[1].AddTime(order.refund->at);
  }
  if (order.effects.released) rows.Book(kRelease)[0].AddTime(record.updated_at);
}

std::vector<std::string> OrderTables::DedupeKey(const saga::Record& record) const {
  const domain::Order& order = saga::As<domain::Order>(record).payload;
  return {order.client, order.idempotency_key};
}

absl::StatusOr<std::unique_ptr<saga::Record>> OrderTables::Decode(const Rows& rows, int row) const {
  absl::StatusOr<OrderRecord> order = DecodeOrder(rows, row);
  if (!order.ok()) return order.status();
  return std::make_unique<OrderRecord>(*std::move(order));
}

}  // namespace waybill::storage
