// The currencies of ISO 4217 and how many decimals their minor unit stands for.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace waybill::domain {

struct Currency {
  std::string_view code;
  int exponent;                    // decimals of the minor unit: 2 for "EUR", 0 for "JPY", 3 for "KWD"
  std::string_view last_day = {};  // of legal tender, like "2026-01-31"; empty: it is tender
};

// Sorted by code. Gold, SDRs, test codes and the like have no minor unit and are not money. A currency whose tender
// ended stays here as long as there may be orders in it.
std::span<const Currency> Currencies();

// Nothing when the code is not one of them. Codes are upper case.
std::optional<int> CurrencyExponent(std::string_view code);

// 1250 of "EUR" is "12.50 EUR". Of a currency that ISO 4217 does not know: "1250 minor units of ABC".
std::string ShowMoney(int64_t minor_units, std::string_view currency);

// When the currency's legal tender ends, or ended, in UTC; infinitely far off for all others, known or not.
absl::Time TenderEnd(std::string_view code);

}  // namespace waybill::domain
