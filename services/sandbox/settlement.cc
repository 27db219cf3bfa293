#include "services/sandbox/settlement.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "domain/currency.h"
#include "fmt/format.h"
#include "payments/processor/contract.h"
#include "runtime/status.h"

namespace waybill::sandbox {
namespace {

struct BookLine {
  absl::Time at;
  std::string_view kind;
  std::string reference;          // ours
  std::string gateway_reference;  // the gateway's
  int64_t amount_minor = 0;
  int64_t fee_minor = 0;
  std::string currency;
  bool out = false;  // of the file
};

// 1234.50 as "1234,50".
std::string Amount(int64_t minor, const std::string& currency, bool decimal_comma) {
  std::string text = payments::DecimalAmount(std::abs(minor), domain::CurrencyExponent(currency).value_or(2));
  if (decimal_comma) std::replace(text.begin(), text.end(), '.', ',');
  return minor < 0 ? "-" + text : text;
}

int64_t FeeOf(int64_t amount_minor, int64_t fee_ppm) {
  constexpr int64_t kMillion = 1'000'000;  // in two parts, so that no amount is too large
  return amount_minor / kMillion * fee_ppm + (amount_minor % kMillion * fee_ppm + kMillion / 2) / kMillion;
}

std::vector<BookLine> LinesOfTime(const Books& books, absl::Time from, absl::Time to, int64_t fee_ppm) {
  std::vector<BookLine> lines;
  const auto add = [&](BookLine line) {
    if (line.at >= from && line.at < to) lines.push_back(std::move(line));
  };
  for (const auto& [key, payment] : books.payments()) {
    if (payment.charges == 0) continue;
    add({payment.charged_at, "charge", key, payment.reference, payment.charged_minor,
         FeeOf(payment.charged_minor, fee_ppm), payment.currency});
    for (const auto& [id, part] : payment.parts) {
      if (!part.reference.empty()) {
        add({part.time, "refund", key, part.reference, part.amount_minor, 0, payment.currency});
      }
    }
    if (payment.refunds > 0 && payment.rest_minor > 0) {
      add({payment.refunded_at, "refund", key, payment.refund_reference, payment.rest_minor, 0, payment.currency});
    }
    if (payment.charged_back_at) {
      add({*payment.charged_back_at, "chargeback", key, payment.charged_back_reference, payment.charged_back_minor, 0,
           payment.currency});
    }
  }
  std::sort(lines.begin(), lines.end(), [](const BookLine& a, const BookLine& b) {
    return std::tie(a.at, a.reference, a.gateway_reference) < std::tie(b.at, b.reference, b.gateway_reference);
  });
  return lines;
}

// Another one with as many decimals.
std::string OtherCurrency(const std::string& currency) {
  for (const char* other : {"EUR", "USD", "JPY", "KRW", "KWD", "BHD"}) {
    if (other != currency && domain::CurrencyExponent(other) == domain::CurrencyExponent(currency)) return other;
  }
  return "EUR";
}

absl::Status Plant(const SettlementWish& wish, std::vector<BookLine>& lines, SettlementLines& file) {
  std::vector<size_t> charges;
  for (size_t at = 0; at < lines.size(); ++at) {
    if (lines[at].kind == "charge") charges.push_back(at);
  }
  if (charges.size() < wish.plant.size()) {
    ErrorDetail detail;
    detail.reason = "TOO_FEW_CHARGES";
    return MakeError(
        absl::StatusCode::kFailedPrecondition,
        fmt::format("the file has {} charges, and {} differences are to be planted", charges.size(), wish.plant.size()),
        detail);
  }
  for (size_t n = 0; n < wish.plant.size(); ++n) {
    const size_t at = charges[n];
    std::string reference = lines[at].reference;
    switch (wish.plant[n]) {
      case PlantedDifference::kMissingHere: {
        BookLine stranger = lines[at];
        stranger.reference.clear();
        stranger.gateway_reference = reference = fmt::format("ch_stray_{}", n + 1);
        lines.push_back(std::move(stranger));
        break;
      }
      case PlantedDifference::kMissingThere:
        lines[at].out = true;
        break;
      case PlantedDifference::kTwice: {
        BookLine again = lines[at];
        again.gateway_reference += "_2";
        lines.push_back(std::move(again));
        break;
      }
      case PlantedDifference::kAmount:
        lines[at].amount_minor += 100;
        lines[at].fee_minor = FeeOf(lines[at].amount_minor, wish.fee_ppm);
        break;
      case PlantedDifference::kCurrency:
        lines[at].currency = OtherCurrency(lines[at].currency);
        break;
      case PlantedDifference::kFee:
        lines[at].fee_minor += 7;
        break;
    }
    file.planted.push_back({wish.plant[n], std::move(reference)});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<absl::CivilDay> ParseSettlementDay(const std::string& text) {
  absl::Time midnight;
  std::string why;
  if (!absl::ParseTime("%Y-%m-%d", text, absl::UTCTimeZone(), &midnight, &why)) {
    return absl::InvalidArgumentError("is no day, like 2026-01-31");
  }
  return absl::ToCivilDay(midnight, absl::UTCTimeZone());
}

absl::StatusOr<SettlementLines> MakeSettlement(const Books& books, const SettlementWish& wish) {
  SettlementLines file;
  const absl::Time from = absl::FromCivil(wish.day, wish.zone), to = absl::FromCivil(wish.day + 1, wish.zone);
  std::vector<BookLine> lines = LinesOfTime(books, from - wish.late, to - wish.late, wish.fee_ppm);
  if (absl::Status planted = Plant(wish, lines, file); !planted.ok()) return planted;

  const char separator = wish.decimal_comma ? ';' : ',';
  const std::string payout = fmt::format("po_{}_{}", wish.gateway, absl::FormatTime("%Y%m%d", from, wish.zone));
  const bool local = wish.zone != absl::UTCTimeZone();
  const auto write = [&](const BookLine& line, int sign) {
    const std::string time = local ? absl::FormatTime("%Y-%m-%d %H:%M:%E6S", line.at, wish.zone)
                                   : absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", line.at, absl::UTCTimeZone());
    file.lines.push_back(
        fmt::format("{1}{0}{2}{0}{3}{0}{4}{0}{5}{0}{6}{0}{7}{0}{8}\n", separator, line.kind, line.reference,
                    line.gateway_reference, Amount(sign * line.amount_minor, line.currency, wish.decimal_comma),
                    Amount(line.fee_minor, line.currency, wish.decimal_comma), line.currency, time, payout));
  };
  file.lines.push_back(
      fmt::format("{}\n", fmt::join(std::vector<std::string_view>{"kind", "reference", "gateway_reference", "amount",
                                                                  "fee", "currency", "booked_at", "payout"},
                                    std::string(1, separator))));
  std::map<std::string, int64_t> sums;  // by currency
  for (const BookLine& line : lines) {
    if (line.out) continue;
    const bool taken = line.kind == "charge";
    write(line, taken || !wish.negative_refunds ? 1 : -1);
    sums[line.currency] += (taken ? line.amount_minor : -line.amount_minor) - line.fee_minor;
  }
  // At the file's last moment, so that they are of its time.
  const absl::Time last = to - absl::Microseconds(1);
  for (auto& [currency, sum] : sums) {
    if (wish.payout_fee_minor > 0) {
      write({last, "fee", "", fmt::format("{}_fee_{}", payout, currency), wish.payout_fee_minor, 0, currency}, 1);
      sum -= wish.payout_fee_minor;
    }
    if (wish.payout_sums) write({last, "payout", "", fmt::format("{}_{}", payout, currency), sum, 0, currency}, 1);
  }
  return file;
}

}  // namespace waybill::sandbox
