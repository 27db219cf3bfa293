#include "storage/postgres/partial_refund_tables.h"

#include <optional>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "storage/order_store.h"
#include "storage/postgres/order_tables.h"
#include "webhooks/event.h"

namespace waybill::storage {
namespace {

using domain::PartialRefund;

// Places among the bookings.
enum : uint8_t { kDecided, kTellRefund };

struct TextField {
  const char* name;
  std::string PartialRefund::*text;
};
constexpr TextField kTexts[] = {{"refund_id", &PartialRefund::refund_id}, {"client", &PartialRefund::client},
                                {"gateway", &PartialRefund::gateway},     {"charge_key", &PartialRefund::charge_key},
                                {"currency", &PartialRefund::currency},   {"reason", &PartialRefund::reason},
                                {"reference", &PartialRefund::reference}, {"refusal", &PartialRefund::refusal}};

saga::Codec<PartialRefund> RefundCodec() {
  saga::Codec<PartialRefund> codec;
  codec.encode = [](const PartialRefund& refund) {
    nlohmann::json json = {{"order_id", refund.order_id.ToString()},
                           {"amount_minor", refund.amount_minor},
                           {"state", domain::Name(refund.state)},
                           {"begun_us", absl::ToUnixMicros(refund.begun_at)},
                           {"decided_us", nullptr}};
    if (refund.decided_at) json["decided_us"] = absl::ToUnixMicros(*refund.decided_at);
    for (const TextField& field : kTexts) json[field.name] = refund.*field.text;
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  };
  codec.decode = [](int, std::string_view text) -> absl::StatusOr<PartialRefund> {
    const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    const auto bad = [](std::string_view field) { return absl::DataLossError(fmt::format("has a bad {}", field)); };
    PartialRefund refund;
    for (const TextField& field : kTexts) {
      const auto found = json.find(field.name);
      if (found == json.end() || !found->is_string()) return bad(field.name);
      refund.*field.text = found->get<std::string>();
    }
    const auto order = json.find("order_id"), state = json.find("state");
    const auto amount = json.find("amount_minor"), begun = json.find("begun_us"), decided = json.find("decided_us");
    const std::optional<Uuid> id =
        order != json.end() && order->is_string() ? Uuid::Parse(order->get<std::string>()) : std::nullopt;
    if (!id) return bad("order_id");
    const auto known = state != json.end() && state->is_string() ? domain::PartialRefundState(state->get<std::string>())
                                                                 : std::nullopt;
    if (!known) return bad("state");
    if (amount == json.end() || !amount->is_number_integer() || amount->get<int64_t>() <= 0) return bad("amount_minor");
    if (begun == json.end() || !begun->is_number_integer()) return bad("begun_us");
    refund.order_id = *id;
    refund.state = *known;
    refund.amount_minor = amount->get<int64_t>();
    refund.begun_at = absl::FromUnixMicros(begun->get<int64_t>());
    if (decided != json.end() && decided->is_number_integer()) {
      refund.decided_at = absl::FromUnixMicros(decided->get<int64_t>());
    }
    return refund;
  };
  codec.key = [](const PartialRefund& refund) {
    return fmt::format("{}/{}", refund.order_id.ToString(), refund.refund_id);
  };
  return codec;
}

}  // namespace

SharedSagaTables<PartialRefund> PartialRefundTables(std::function<bool()> told) {
  SagaBookings<PartialRefund> bookings;
  // In the order of the payments whose rows are locked for it, so that no two writers wait for each other in a circle.
  bookings.begun = {
      {{"order_id", kOidUuid, ""},
       {"refund_id", kOidText, ""},
       {"gateway", kOidText, ""},
       {"idempotency_key", kOidText, ""},
       {"amount_minor", kOidInt8, ""},
       {"currency", kOidText, ""},
       {"reason", kOidText, ""},
       {"begun_at", kOidTimestamptz, ""}},
      "INSERT INTO partial_refunds (saga_id, order_id, refund_id, gateway, idempotency_key, amount_minor, currency, "
      "reason, begun_at) "
      "SELECT i.saga_id, i.order_id, i.refund_id, i.gateway, i.idempotency_key, i.amount_minor, i.currency, i.reason, "
      "i.begun_at FROM {rows} WHERE i.saga_id IN (SELECT saga_id FROM sagas WHERE saga_id = ANY({ids})) "
      "ORDER BY i.order_id ON CONFLICT DO NOTHING"};
  bookings.add_begun = [](const saga::RecordOf<PartialRefund>& record, BookedRows& rows) {
    const PartialRefund& refund = record.payload;
    std::span<ArrayParam> columns = rows.Begun();
    columns[0].AddId(refund.order_id);
    columns[1].AddText(refund.refund_id);
    if (refund.gateway.empty()) {
      columns[2].AddNull();
    } else {
      columns[2].AddText(refund.gateway);
    }
    columns[3].AddText(refund.charge_key);
    columns[4].AddInt(refund.amount_minor);
    columns[5].AddText(refund.currency);
    columns[6].AddText(refund.reason);
    columns[7].AddTime(refund.begun_at);
  };
  bookings.rules = {std::string(kPartsWithinCharge), std::string(kPartsBounded), std::string(kOfAnOrderThatStands)};
  bookings.bookings.resize(2);
  bookings.bookings[kDecided] = {
      {{"state", kOidText, ""},
       {"reference", kOidText, ""},
       {"refusal", kOidText, ""},
       {"decided_at", kOidTimestamptz, ""}},
      "UPDATE partial_refunds r SET state = i.state, reference = i.reference, refusal = i.refusal, "
      "decided_at = i.decided_at FROM {rows} "
      "WHERE r.saga_id = i.saga_id AND r.saga_id = ANY({ids}) AND {allowed}"};
  bookings.bookings[kTellRefund] = TellBooking();
  bookings.bookings[kTellRefund].columns.push_back({"order_id", kOidUuid, ""});
  bookings.add = [told = std::move(told)](const saga::RecordOf<PartialRefund>& record, BookedRows& rows) {
    const PartialRefund& refund = record.payload;
    if (!refund.effects.decided) return;
    std::span<ArrayParam> columns = rows.Book(kDecided);
    columns[0].AddText(domain::Name(refund.state));
    columns[1].AddText(refund.reference);
    columns[2].AddText(refund.refusal);
    columns[3].AddTime(*refund.decided_at);
    if (!told()) return;
    const std::optional<webhooks::Event> event = webhooks::EventOf(record);
    if (!event) return;
    columns = rows.Book(kTellRefund);
    AddTold(refund.client, *event, record.updated_at, columns);
    columns[5].AddId(refund.order_id);
  };
  return SharedSagaTables<PartialRefund>(RefundCodec(), std::move(bookings));
}

}  // namespace waybill::storage
