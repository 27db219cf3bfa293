// The orders of a run: each with a key of its own, spread over users as those of a real day are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "fmt/format.h"

namespace waybill::bench {

struct NumberedOrder {
  std::string idempotency_key;
  std::string user_id;
  int64_t amount_minor = 0;
};

inline constexpr std::string_view kCurrency = "EUR";

// `run` keeps the keys of different runs apart; 1-200 visible ASCII characters.
inline NumberedOrder OrderNumber(std::string_view run, int64_t number) {
  // 7,919 is prime: neighbours in time belong to different users, as they would.
  return {fmt::format("{}-{}", run, number), fmt::format("user-{:05}", number * 7'919 % 50'000), 100 + number % 10'000};
}

}  // namespace waybill::bench
