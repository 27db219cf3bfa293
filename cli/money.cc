#include "cli/money.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "domain/currency.h"
#include "fmt/format.h"

namespace waybill::cli {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

absl::StatusOr<int64_t> ParseMoney(std::string_view text, std::string_view currency) {
  std::optional<int> exponent = domain::CurrencyExponent(currency);
  if (!exponent) {
    return absl::InvalidArgumentError(
        fmt::format("currency: \"{}\" is not an ISO 4217 code; write it like EUR", currency));
  }
  size_t point = text.find('.');
  std::string_view whole = text.substr(0, point);
  std::string_view fraction = point == std::string_view::npos ? std::string_view() : text.substr(point + 1);
  bool well_formed = !whole.empty() && (point == std::string_view::npos || !fraction.empty()) &&
                     std::all_of(whole.begin(), whole.end(), IsDigit) &&
                     std::all_of(fraction.begin(), fraction.end(), IsDigit);
  if (!well_formed) {
    return absl::InvalidArgumentError(
        fmt::format("amount: \"{}\" is not an amount; write digits and at most one point, like 12.50", text));
  }
  if (fraction.size() > static_cast<size_t>(*exponent)) {
    return absl::InvalidArgumentError(
        fmt::format("amount: {} has {} decimals, \"{}\" has {}", currency, *exponent, text, fraction.size()));
  }
  std::string digits = std::string(whole) + std::string(fraction);
  digits.append(static_cast<size_t>(*exponent) - fraction.size(), '0');
  int64_t minor = 0;
  for (char c : digits) {
    int digit = c - '0';
    if (minor > (std::numeric_limits<int64_t>::max() - digit) / 10) {
      return absl::InvalidArgumentError(fmt::format("amount: \"{}\" is too large", text));
    }
    minor = minor * 10 + digit;
  }
  if (minor == 0) return absl::InvalidArgumentError("amount: must be more than 0");
  return minor;
}

absl::StatusOr<Amount> ParseAmount(std::string text, std::string currency) {
  const auto letter = std::find_if(text.begin(), text.end(), [](char c) { return absl::ascii_isalpha(c); });
  const bool says_currency = letter != text.end();
  if (says_currency) {
    std::string said(letter, text.end());
    if (!currency.empty() && said != currency) {
      return absl::InvalidArgumentError(fmt::format("--currency: {} is another than in \"{}\"", currency, text));
    }
    currency = std::move(said);
    text.erase(letter, text.end());
    absl::StripTrailingAsciiWhitespace(&text);
  }
  if (currency.empty()) {
    return absl::InvalidArgumentError(fmt::format("--amount: of which currency? Write it like \"{} EUR\"", text));
  }
  const absl::StatusOr<int64_t> minor = ParseMoney(text, currency);
  if (!minor.ok()) {
    const std::string what(minor.status().message());  // "amount: ..." or "currency: ..."
    const bool by_option = !says_currency && what.starts_with("currency");
    return absl::InvalidArgumentError(
        fmt::format("{}: {}", by_option ? "--currency" : "--amount", what.substr(what.find(": ") + 2)));
  }
  return Amount{*minor, std::move(currency)};
}

}  // namespace waybill::cli
