// Amounts as people write them, and as Waybill holds them: integers of the currency's minor unit. No floating point.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "domain/currency.h"

namespace waybill::cli {

// "12.50" and "EUR" are 1250. At most as many decimals as the currency has, no sign, no grouping, no exponent; more
// than 0. INVALID_ARGUMENT says what is wrong.
absl::StatusOr<int64_t> ParseMoney(std::string_view text, std::string_view currency);

// An amount with its currency, as people write both: "12.50 EUR", "12.50EUR", or the number alone where the currency
// was said by itself. INVALID_ARGUMENT names --amount or --currency.
struct Amount {
  int64_t minor = 0;
  std::string currency;
};
absl::StatusOr<Amount> ParseAmount(std::string text, std::string currency = "");

using domain::ShowMoney;

}  // namespace waybill::cli
