// The currencies of ISO 4217 and how many decimals their minor unit stands for.
#pragma once

#include <optional>
#include <string_view>

namespace waybill::storage {

// Decimals of the currency's minor unit: 2 for "EUR", 0 for "JPY", 3 for "KWD". Nothing when the code is not an active
// currency of ISO 4217. Codes are upper case. Gold, SDRs, test codes and the like have no minor unit and are not money.
std::optional<int> CurrencyExponent(std::string_view code);

}  // namespace waybill::storage
