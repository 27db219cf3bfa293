#include "services/sandbox/checkout.h"

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "domain/currency.h"
#include "fmt/format.h"
#include "payments/processor/contract.h"
#include "runtime/text.h"

namespace waybill::sandbox {
namespace {

constexpr std::string_view kPay = "decision=pay", kDecline = "decision=decline";

http::Response Page(unsigned code, std::string_view inner) {
  http::Response response{
      code,
      "text/html; charset=utf-8",
      fmt::format("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
                  "content=\"width=device-width\"><title>Checkout</title></head>\n<body>\n<h1>Checkout</h1>\n{}</body>"
                  "</html>\n",
                  inner),
      {}};
  response.fields = {{"Content-Security-Policy", "default-src 'none'; form-action 'self'"}};
  return response;
}

std::string Facts(const Payment& payment) {
  return fmt::format(
      "<p id=\"amount\">{} {}</p>\n<p>Order {}</p>\n",
      payments::DecimalAmount(payment.amount_minor, domain::CurrencyExponent(payment.currency).value_or(0)),
      EscapedHtml(payment.currency), EscapedHtml(payment.order_id));
}

bool CanBePaid(const Payment& payment, absl::Time now) {
  return payment.state == Payment::State::kPending && (!payment.expires || now < *payment.expires);
}

std::string Form(const Payment& payment) {
  std::string form = Facts(payment);
  if (payment.expires) {
    form +=
        fmt::format("<p>Until {}</p>\n", absl::FormatTime(absl::RFC3339_sec, *payment.expires, absl::UTCTimeZone()));
  }
  return form +
         "<form method=\"post\"><button name=\"decision\" value=\"pay\">Pay</button> <button name=\"decision\" "
         "value=\"decline\">Decline</button></form>\n";
}

std::string Outcome(const Payment& payment, const std::string& return_url) {
  std::string_view state = "expired";
  switch (payment.state) {
    case Payment::State::kPending:
      break;
    case Payment::State::kCharged:
      state = "paid";
      break;
    case Payment::State::kAuthorized:
      state = "authorized";
      break;
    case Payment::State::kRefunded:
      state = "refunded";
      break;
    case Payment::State::kClosed:
      state = "closed";
      break;
    case Payment::State::kDeclined:
      if (payment.reason != "EXPIRED") state = "declined";
      break;
  }
  std::string outcome = fmt::format("{}<p id=\"outcome\">{}</p>\n", Facts(payment), state);
  if (!return_url.empty()) {
    outcome +=
        fmt::format("<p><a id=\"return\" href=\"{}{}order_id={}\">Back to the shop</a></p>\n", EscapedHtml(return_url),
                    return_url.find('?') == std::string::npos ? "?" : "&amp;", EscapedHtml(payment.order_id));
  }
  return outcome;
}

class Payer final : public Caller {
 public:
  Payer(http::ExchangePtr exchange, std::shared_ptr<http::Response> response)
      : exchange_(std::move(exchange)), response_(std::move(response)) {}
  void Answer(const absl::Status& status) override {
    exchange_->Answer(status.ok() ? std::move(*response_) : Page(503, "<p>Try again in a moment.</p>\n"));
  }
  void OnGone(absl::AnyInvocable<void()> callback) override { exchange_->OnGone(std::move(callback)); }

 private:
  const http::ExchangePtr exchange_;
  const std::shared_ptr<http::Response> response_;
};

}  // namespace

void Checkout::Serve(http::Server& server) {
  server.Serve(kCheckoutPath, {"checkout", {"GET", "POST"}},
               [this](http::ExchangePtr exchange) { Take(std::move(exchange)); });
}

void Checkout::Take(http::ExchangePtr exchange) const {
  const std::string place = exchange->request().path.substr(std::string_view(kCheckoutPath).size());
  const size_t slash = place.find('/');
  const auto gateway = gateways_.find(place.substr(0, slash));
  const http::Response nothing = Page(404, "<p>There is no such payment.</p>\n");
  if (slash == std::string::npos || gateway == gateways_.end()) return exchange->Answer(nothing);
  const std::string token = place.substr(slash + 1);
  const std::string& return_url = gateway->second.return_url;
  auto response = std::make_shared<http::Response>(nothing);
  if (exchange->request().method == "GET") {
    gateway->second.sandbox->Read(std::make_unique<Payer>(std::move(exchange), response),
                                  [token, response, return_url, now = clock_.Now()](const Books& books) {
                                    const std::optional<std::string> key = books.FindKey(token);
                                    if (!key) return;
                                    const Payment& payment = *books.FindPayment(*key);
                                    *response = Page(
                                        200, CanBePaid(payment, now) ? Form(payment) : Outcome(payment, return_url));
                                  });
    return;
  }
  const bool pays = exchange->request().body == kPay;
  if (!pays && exchange->request().body != kDecline) {
    return exchange->Answer(Page(400, "<p>Pay or decline.</p>\n"));
  }
  gateway->second.sandbox->Decide(
      std::make_unique<Payer>(std::move(exchange), response),
      [token, response, return_url, pays](Books& books, absl::Time now, std::optional<Record>& effect) {
        const std::optional<std::string> key = books.FindKey(token);
        if (!key) return absl::OkStatus();
        const Payment& payment = *books.FindPayment(*key);
        if (CanBePaid(payment, now)) books.Decide(*key, pays, now, effect).IgnoreError();  // it is pending
        *response = Page(200, Outcome(payment, return_url));
        return absl::OkStatus();
      });
}

}  // namespace waybill::sandbox
