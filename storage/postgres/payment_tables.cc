#include "storage/postgres/payment_tables.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "storage/postgres/order_rows.h"
#include "storage/postgres/order_tables.h"

namespace waybill::storage {
namespace {

using domain::Payment;
using domain::PaymentAttempt;
using PaymentJson = nlohmann::json;

PaymentJson EncodeMoment(std::optional<absl::Time> time) {
  return time ? PaymentJson(absl::ToUnixMicros(*time)) : PaymentJson();
}

std::string EncodePayment(const Payment& payment) {
  PaymentJson json = {{"client", payment.client},
                      {"payment_id", payment.idempotency_key},
                      {"amount_minor", payment.amount_minor},
                      {"currency", payment.currency},
                      {"attempts", PaymentJson::array()},
                      {"pending", nullptr},
                      {"charge", nullptr},
                      {"refund", nullptr}};
  for (const PaymentAttempt& attempt : payment.attempts) {
    json["attempts"].push_back(
        {{"gateway", attempt.gateway}, {"state", domain::Name(attempt.state)}, {"cost_ppm", attempt.cost_ppm}});
  }
  if (payment.pending) {
    json["pending"] = {{"token", payment.pending->token},
                       {"checkout_url", payment.pending->checkout_url},
                       {"expires_us", EncodeMoment(payment.pending->expires)}};
  }
  if (payment.charge) {
    json["charge"] = {{"reference", payment.charge->gateway_reference},
                      {"amount_minor", payment.charge->amount_minor},
                      {"at_us", EncodeMoment(payment.charge->at)}};
  }
  if (payment.refund) {
    json["refund"] = {{"amount_minor", payment.refund->amount_minor}, {"at_us", EncodeMoment(payment.refund->at)}};
  }
  if (!payment.user_id.empty()) json["user_id"] = payment.user_id;
  if (payment.payer) json["payer"] = PaymentJson::parse(EncodePayer(*payment.payer));
  return json.dump(-1, ' ', false, PaymentJson::error_handler_t::replace);
}

// Reads fields by name and remembers the first that is not as EncodePayment writes it.
class PaymentFields {
 public:
  explicit PaymentFields(const PaymentJson& json) : json_(json) {}

  const PaymentJson& At(const PaymentJson& within, const char* name) {
    static const auto& none = *new PaymentJson();
    const auto found = within.find(name);
    return found == within.end() ? none : *found;
  }
  const PaymentJson& At(const char* name) { return At(json_, name); }
  std::string Text(const PaymentJson& within, const char* name) {
    const PaymentJson& text = At(within, name);
    return text.is_string() ? text.get<std::string>() : Bad<std::string>(name);
  }
  int64_t Amount(const PaymentJson& within, const char* name) {
    const PaymentJson& amount = At(within, name);
    return amount.is_number_integer() && amount.get<int64_t>() > 0 ? amount.get<int64_t>() : Bad<int64_t>(name);
  }
  int64_t Whole(const PaymentJson& within, const char* name) {
    const PaymentJson& number = At(within, name);
    return number.is_number_integer() ? number.get<int64_t>() : Bad<int64_t>(name);
  }
  absl::Time Moment(const PaymentJson& within, const char* name) { return absl::FromUnixMicros(Whole(within, name)); }
  template <typename T>
  T Bad(const char* name) {
    if (bad_.empty()) bad_ = name;
    return T();
  }
  absl::Status status() const {
    return bad_.empty() ? absl::OkStatus() : absl::DataLossError(fmt::format("has a bad {}", bad_));
  }

 private:
  const PaymentJson& json_;
  std::string bad_;
};

absl::StatusOr<Payment> DecodePayment(int, std::string_view text) {
  const PaymentJson json = PaymentJson::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::DataLossError("is no JSON object");
  PaymentFields fields(json);
  Payment payment;
  payment.client = fields.Text(json, "client");
  payment.idempotency_key = fields.Text(json, "payment_id");
  payment.amount_minor = fields.Amount(json, "amount_minor");
  payment.currency = fields.Text(json, "currency");
  const PaymentJson& attempts = fields.At("attempts");
  if (!attempts.is_array()) fields.Bad<int>("attempts");
  for (const PaymentJson& one : attempts) {
    PaymentAttempt& attempt = payment.attempts.emplace_back();
    attempt.gateway = fields.Text(one, "gateway");
    attempt.cost_ppm = fields.Whole(one, "cost_ppm");
    const std::string state = fields.Text(one, "state");
    const auto* known = std::find_if(std::begin(domain::kPaymentAttemptStates), std::end(domain::kPaymentAttemptStates),
                                     [&](auto candidate) { return domain::Name(candidate) == state; });
    if (known == std::end(domain::kPaymentAttemptStates)) {
      fields.Bad<int>("state");
    } else {
      attempt.state = *known;
    }
  }
  if (const PaymentJson& pending = fields.At("pending"); !pending.is_null()) {
    payment.pending = {fields.Text(pending, "token"), fields.Text(pending, "checkout_url"), std::nullopt};
    if (!fields.At(pending, "expires_us").is_null()) payment.pending->expires = fields.Moment(pending, "expires_us");
  }
  if (const PaymentJson& charge = fields.At("charge"); !charge.is_null()) {
    payment.charge = {fields.Text(charge, "reference"), fields.Amount(charge, "amount_minor"),
                      fields.Moment(charge, "at_us")};
  }
  if (const PaymentJson& refund = fields.At("refund"); !refund.is_null()) {
    payment.refund = {fields.Amount(refund, "amount_minor"), fields.Moment(refund, "at_us")};
  }
  // Rows of before have neither.
  if (!fields.At("user_id").is_null()) payment.user_id = fields.Text(json, "user_id");
  if (const PaymentJson& payer = fields.At("payer"); !payer.is_null()) {
    payment.payer = DecodePayer(payer.dump());
    if (!payment.payer) fields.Bad<int>("payer");
  }
  if (!fields.status().ok()) return fields.status();
  return payment;
}

}  // namespace

SharedSagaTables<Payment> PaymentTables() {
  // The client comes last: it may hold a slash, and the id does not.
  saga::Codec<Payment> codec{EncodePayment, DecodePayment, [](const Payment& payment) {
                               return fmt::format("{}/{}", payment.idempotency_key, payment.client);
                             }};
  SagaBookings<Payment> bookings;
  bookings.bookings = PaymentBookings("saga_id");
  bookings.add = [](const saga::RecordOf<Payment>& record, BookedRows& rows) {
    AddPaymentRows(record, record.payload, rows);
  };
  bookings.begun = BegunAttempts("saga_id", "sagas");
  bookings.add_begun = [](const saga::RecordOf<Payment>& record, BookedRows& rows) {
    AddBegunAttempt(record, record.payload, rows);
  };
  return SharedSagaTables<Payment>(std::move(codec), std::move(bookings));
}

}  // namespace waybill::storage
