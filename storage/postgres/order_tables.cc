#include "storage/postgres/order_tables.h"

#include <optional>
#include <utility>

#include "fmt/format.h"
#include "storage/postgres/order_rows.h"
#include "webhooks/event.h"

namespace waybill::storage {
namespace {

// Places among the bookings.
enum : uint8_t {
  kPending,
  kCharge,
  kRefund,
  kAttemptChanged,
  kAttemptBegun,
  kPaymentBookings,
  kRelease = kPaymentBookings,
  kTell,
  kBookings
};

// Of an attempt that begins; also those of one that the order begins with.
const std::vector<UnnestColumn>& AttemptColumns() {
  static const auto& columns = *new std::vector<UnnestColumn>{
      {"number", kOidInt2, ""},       {"gateway", kOidText, ""},      {"idempotency_key", kOidText, ""},
      {"amount_minor", kOidInt8, ""}, {"currency", kOidText, ""},     {"begun_at", kOidTimestamptz, ""},
      {"cost_ppm", kOidInt4, ""},     {"capture_later", kOidBool, ""}};
  return columns;
}
constexpr char kInsertAttempts[] =
    "INSERT INTO payment_attempts (order_id, number, gateway, idempotency_key, amount_minor, currency, begun_at, "
    "cost_ppm, capture_later) "
    "SELECT i.order_id, i.number, i.gateway, i.idempotency_key, i.amount_minor, i.currency, i.begun_at, i.cost_ppm, "
    "i.capture_later "
    "FROM {rows} ";

void AddAttempt(const saga::Record& record, const domain::Order& order, size_t number, absl::Time begun_at,
                std::span<ArrayParam> columns) {
  columns[0].AddInt(static_cast<int64_t>(number));
  columns[1].AddText(order.attempts[number - 1].gateway);
  columns[2].AddText(domain::PaymentKey(record.id.ToString(), number));
  columns[3].AddInt(order.amount_minor);
  columns[4].AddText(order.currency);
  columns[5].AddTime(begun_at);
  columns[6].AddInt(order.attempts[number - 1].cost_ppm);
  columns[7].AddBool(order.attempts[number - 1].capture_later);
}

// The same statement over rows whose key has another name.
std::string WithKey(std::string text, std::string_view key) {
  constexpr std::string_view kOrders = "i.order_id";
  const std::string own = fmt::format("i.{}", key);
  for (size_t at = 0; (at = text.find(kOrders, at)) != std::string::npos; at += own.size()) {
    text.replace(at, kOrders.size(), own);
  }
  return text;
}

void AddOptional(const std::string& text, ArrayParam& column) {
  if (text.empty()) {
    column.AddNull();
  } else {
    column.AddText(text);
  }
}

}  // namespace

// Endpoints are found by the client's index, row by row (OFFSET keeps them from being joined as a whole). A saga that
// closes for long tells that again and again: once.
Booking TellBooking() {
  return {{{"client", kOidText, ""},
           {"event_id", kOidText, ""},
           {"type", kOidText, ""},
           {"body", kOidText, ""},
           {"created_at", kOidTimestamptz, ""}},
          "INSERT INTO webhook_deliveries (endpoint_id, event_id, type, order_id, body, created_at, next_at) "
          "SELECT e.endpoint_id, i.event_id, i.type, i.order_id, i.body, i.created_at, now() FROM {rows} "
          "CROSS JOIN LATERAL (SELECT w.endpoint_id FROM webhook_endpoints w WHERE w.enabled AND w.client = i.client "
          "AND w.types && ARRAY[i.type, split_part(i.type, '.', 1) || '.*', '*'] OFFSET 0) AS e "
          "WHERE {allowed} ON CONFLICT (endpoint_id, event_id) DO NOTHING"};
}

void AddTold(const std::string& client, const webhooks::Event& event, absl::Time at, std::span<ArrayParam> columns) {
  columns[0].AddText(client);
  columns[1].AddText(event.id);
  columns[2].AddText(event.type);
  columns[3].AddText(event.body);
  columns[4].AddTime(at);
}

std::vector<Booking> PaymentBookings(std::string_view key) {
  std::vector<Booking> bookings = OrderTables().sql().bookings;
  bookings.resize(kPaymentBookings);
  for (Booking& booking : bookings) booking.text = WithKey(booking.text, key);
  return bookings;
}

Booking BegunAttempts(std::string_view key, std::string_view sagas) {
  return {AttemptColumns(), fmt::format("{}WHERE i.{} IN (SELECT {} FROM {} WHERE {} = ANY({{ids}})) "
                                        "ON CONFLICT (order_id, number) DO NOTHING",
                                        WithKey(kInsertAttempts, key), key, key, sagas, key)};
}

OrderTables::OrderTables(std::function<bool()> told) : told_(std::move(told)) {
  sql_.sagas = "order_sagas";
  sql_.id = "order_id";
  sql_.log = "order_saga_steps";
  sql_.begin = {{"client", kOidText, ""},       {"idempotency_key", kOidText, ""}, {"fingerprint", kOidBytea, ""},
                {"user_id", kOidText, ""},      {"amount_minor", kOidInt8, ""},    {"currency", kOidText, ""},
                {"pickup_lat", kOidFloat8, ""}, {"pickup_long", kOidFloat8, ""},   {"metadata", kOidText, "::jsonb"},
                {"payer", kOidText, "::jsonb"}};
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
  // Each answer that says pending says where and how long anew.
  sql_.bookings[kPending] = {
      {{"token", kOidText, ""}, {"checkout_url", kOidText, ""}, {"expires_at", kOidTimestamptz, ""}},
      "INSERT INTO pending_charges (order_id, token, checkout_url, expires_at) "
      "SELECT i.order_id, i.token, i.checkout_url, i.expires_at FROM {rows} WHERE {allowed} "
      "ON CONFLICT (order_id) DO UPDATE "
      "SET token = EXCLUDED.token, checkout_url = EXCLUDED.checkout_url, expires_at = EXCLUDED.expires_at"};
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
  sql_.bookings[kAttemptChanged] = {
      {{"number", kOidInt2, ""},
       {"state", kOidText, ""},
       {"reference", kOidText, ""},
       {"pending_token", kOidText, ""},
       {"decided_at", kOidTimestamptz, ""},
       {"authorized_at", kOidTimestamptz, ""},
       {"authorization_expires_at", kOidTimestamptz, ""}},
      "UPDATE payment_attempts t SET state = i.state, reference = COALESCE(i.reference, t.reference), "
      "pending_token = COALESCE(i.pending_token, t.pending_token), decided_at = i.decided_at, "
      "authorized_at = COALESCE(t.authorized_at, i.authorized_at), "
      "authorization_expires_at = COALESCE(t.authorization_expires_at, i.authorization_expires_at) FROM {rows} "
      "WHERE t.order_id = i.order_id AND t.number = i.number AND t.order_id = ANY({ids}) AND {allowed}"};
  sql_.bookings[kAttemptBegun] = {AttemptColumns(), std::string(kInsertAttempts) + "WHERE {allowed}"};
  // One whose header stood there before, of an earlier try, may have been decided since: it stays as it is.
  sql_.begun = BegunAttempts("order_id", "order_sagas");
  sql_.bookings[kTell] = TellBooking();
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
  if (order.payer) {
    columns[9].AddText(EncodePayer(*order.payer));
  } else {
    columns[9].AddNull();
  }
}

void OrderTables::AddBegun(const saga::Record& record, BookedRows& rows) const {
  AddBegunAttempt(record, saga::As<domain::Order>(record).payload, rows);
}

void AddBegunAttempt(const saga::Record& record, const domain::Order& order, BookedRows& rows) {
  if (!order.attempts.empty()) AddAttempt(record, order, 1, record.created_at, rows.Begun());
}

void AddPaymentRows(const saga::Record& record, const domain::Order& order, BookedRows& rows) {
  if (order.effects.pending) {
    std::span<ArrayParam> columns = rows.Book(kPending);
    columns[0].AddText(order.pending->token);
    if (order.pending->checkout_url.empty()) {
      columns[1].AddNull();
    } else {
      columns[1].AddText(order.pending->checkout_url);
    }
    columns[2].AddTime(order.pending->expires);
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
  if (const size_t number = order.effects.attempt_changed; number > 0) {
    const domain::PaymentAttempt& attempt = order.attempts[number - 1];
    std::span<ArrayParam> columns = rows.Book(kAttemptChanged);
    columns[0].AddInt(static_cast<int64_t>(number));
    columns[1].AddText(domain::Name(attempt.state));
    AddOptional(attempt.reference, columns[2]);
    AddOptional(attempt.state == domain::PaymentAttempt::State::kPending ? attempt.pending_token : "", columns[3]);
    if (domain::IsDecided(attempt.state)) {
      columns[4].AddTime(record.updated_at);
    } else {
      columns[4].AddNull();
    }
    columns[5].AddTime(attempt.authorization ? std::optional(attempt.authorization->at) : std::nullopt);
    columns[6].AddTime(attempt.authorization ? attempt.authorization->expires : std::nullopt);
  }
  if (const size_t number = order.effects.attempt_begun; number > 0) {
    AddAttempt(record, order, number, record.updated_at, rows.Book(kAttemptBegun));
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
  AddPaymentRows(record, order, rows);
  if (order.effects.released) rows.Book(kRelease)[0].AddTime(record.updated_at);
  if (!told_()) return;
  for (const webhooks::Event& event : webhooks::EventsOf(saga::As<domain::Order>(record))) {
    AddTold(order.client, event, record.updated_at, rows.Book(kTell));
  }
}

// The driver's, when he is freed since the order is completed.
void OrderTables::AddAccounts(const saga::Record& record, bool begins, SharedAccounts& accounts) const {
  const bool ends = record.state == saga::State::kClosing || record.state == saga::State::kClosed;
  if (!begins && ends && saga::As<domain::Order>(record).payload.effects.released) accounts.orders.AddId(record.id);
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
