#include "storage/postgres/payout_tables.h"

#include <optional>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "storage/payout_store.h"

namespace waybill::storage {
namespace {

using domain::Payout;

struct PayoutText {
  const char* name;
  std::string Payout::*text;
};
constexpr PayoutText kPayoutTexts[] = {{"client", &Payout::client},       {"payout_id", &Payout::payout_id},
                                       {"account", &Payout::account},     {"destination", &Payout::destination},
                                       {"currency", &Payout::currency},   {"description", &Payout::description},
                                       {"reference", &Payout::reference}, {"refusal", &Payout::refusal}};

std::string EncodePayout(const Payout& payout) {
  nlohmann::json json = {{"amount_minor", payout.amount_minor},
                         {"state", domain::Name(payout.state)},
                         {"begun_us", absl::ToUnixMicros(payout.begun_at)},
                         {"decided_us", nullptr}};
  if (payout.decided_at) json["decided_us"] = absl::ToUnixMicros(*payout.decided_at);
  for (const PayoutText& field : kPayoutTexts) json[field.name] = payout.*field.text;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

absl::StatusOr<Payout> DecodePayout(int, std::string_view text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  const auto bad = [](std::string_view field) { return absl::DataLossError(fmt::format("has a bad {}", field)); };
  Payout payout;
  for (const PayoutText& field : kPayoutTexts) {
    const auto found = json.find(field.name);
    if (found == json.end() || !found->is_string()) return bad(field.name);
    payout.*field.text = found->get<std::string>();
  }
  const auto amount = json.find("amount_minor"), state = json.find("state");
  const auto begun = json.find("begun_us"), decided = json.find("decided_us");
  const auto known =
      state != json.end() && state->is_string() ? domain::PayoutState(state->get<std::string>()) : std::nullopt;
  if (!known) return bad("state");
  if (amount == json.end() || !amount->is_number_integer() || amount->get<int64_t>() <= 0) return bad("amount_minor");
  if (begun == json.end() || !begun->is_number_integer()) return bad("begun_us");
  payout.state = *known;
  payout.amount_minor = amount->get<int64_t>();
  payout.begun_at = absl::FromUnixMicros(begun->get<int64_t>());
  if (decided != json.end() && decided->is_number_integer()) {
    payout.decided_at = absl::FromUnixMicros(decided->get<int64_t>());
  }
  return payout;
}

}  // namespace

SharedSagaTables<Payout> PayoutTables() {
  // The client comes last: it may hold a slash, and the id does not.
  saga::Codec<Payout> codec{EncodePayout, DecodePayout,
                            [](const Payout& payout) { return fmt::format("{}/{}", payout.payout_id, payout.client); }};
  SagaBookings<Payout> bookings;
  // One that is refused from the start holds nothing.
  bookings.begun = {
      {{"client", kOidText, ""},
       {"payout_id", kOidText, ""},
       {"account", kOidText, ""},
       {"amount_minor", kOidInt8, ""},
       {"currency", kOidText, ""},
       {"destination", kOidText, ""},
       {"description", kOidText, ""},
       {"state", kOidText, ""},
       {"refusal", kOidText, ""},
       {"begun_at", kOidTimestamptz, ""},
       {"decided_at", kOidTimestamptz, ""}},
      "INSERT INTO payouts (saga_id, client, payout_id, account, idempotency_key, hold_id, amount_minor, currency, "
      "destination, description, state, refusal, begun_at, decided_at) "
      "SELECT i.saga_id, i.client, i.payout_id, i.account, i.saga_id || '/pay_out', "
      "CASE i.state WHEN 'open' THEN i.saga_id || ':hold' END, i.amount_minor, i.currency, i.destination, "
      "i.description, i.state, i.refusal, i.begun_at, i.decided_at "
      "FROM {rows} WHERE i.saga_id IN (SELECT saga_id FROM sagas WHERE saga_id = ANY({ids})) "
      "ORDER BY i.saga_id ON CONFLICT DO NOTHING"};
  bookings.add_begun = [](const saga::RecordOf<Payout>& record, BookedRows& rows) {
    const Payout& payout = record.payload;
    std::span<ArrayParam> columns = rows.Begun();
    columns[0].AddText(payout.client);
    columns[1].AddText(payout.payout_id);
    columns[2].AddText(payout.account);
    columns[3].AddInt(payout.amount_minor);
    columns[4].AddText(payout.currency);
    columns[5].AddText(payout.destination);
    columns[6].AddText(payout.description);
    columns[7].AddText(domain::Name(payout.state));
    columns[8].AddText(payout.refusal);
    columns[9].AddTime(payout.begun_at);
    if (payout.decided_at) {
      columns[10].AddTime(*payout.decided_at);
    } else {
      columns[10].AddNull();
    }
  };
  bookings.add_accounts = [](const saga::RecordOf<Payout>& record, bool begins, SharedAccounts& accounts) {
    const Payout& payout = record.payload;
    if (begins ? payout.state != Payout::State::kOpen : !payout.effects.decided) return;
    accounts.clients.AddText(payout.client);
    accounts.accounts.AddText(payout.account);
  };
  bookings.rules = {std::string(kPayoutWithinBalance), std::string(kDebitsWithinCredits),
                    std::string(kPayoutFromAnAccount)};
  bookings.bookings = {{{{"state", kOidText, ""},
                         {"reference", kOidText, ""},
                         {"refusal", kOidText, ""},
                         {"decided_at", kOidTimestamptz, ""}},
                        "UPDATE payouts p SET state = i.state, reference = i.reference, refusal = i.refusal, "
                        "decided_at = i.decided_at FROM {rows} "
                        "WHERE p.saga_id = i.saga_id AND p.saga_id = ANY({ids}) AND {allowed}"}};
  bookings.add = [](const saga::RecordOf<Payout>& record, BookedRows& rows) {
    const Payout& payout = record.payload;
    if (!payout.effects.decided) return;
    std::span<ArrayParam> columns = rows.Book(0);
    columns[0].AddText(domain::Name(payout.state));
    columns[1].AddText(payout.reference);
    columns[2].AddText(payout.refusal);
    columns[3].AddTime(*payout.decided_at);
  };
  return SharedSagaTables<Payout>(std::move(codec), std::move(bookings));
}

}  // namespace waybill::storage
