// The settlement file of a gateway's day, as CSV, by its books: what `waybill reconcile run` reads. With the dirt that
// real ones have, and with differences that are planted to be found, where they are asked for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/sandbox/books.h"

namespace waybill::sandbox {

enum class PlantedDifference { kMissingHere, kMissingThere, kTwice, kAmount, kCurrency, kFee };

struct SettlementWish {
  std::string gateway;  // in the payout's name
  absl::CivilDay day;
  // Of its midnights. Of any but UTC the file's times are local, and name no zone.
  absl::TimeZone zone = absl::UTCTimeZone();
  absl::Duration late = absl::ZeroDuration();  // what was booked in the last so much of a day stands in the next file
  bool payout_sums = false;                    // lines of the kind "payout"
  bool negative_refunds = false;
  bool decimal_comma = false;
  int64_t payout_fee_minor = 0;          // a line of the kind "fee" in each currency
  std::vector<PlantedDifference> plant;  // each in a charge of its own
  int64_t fee_ppm = 0;                   // of a charge, rounded to the nearest
};

struct SettlementLines {
  struct Planted {
    PlantedDifference difference;
    std::string reference;  // ours, or, of kMissingHere, the gateway's
  };
  std::vector<std::string> lines;  // each with its end; the first is the header
  std::vector<Planted> planted;
};

// "2026-01-31", or INVALID_ARGUMENT.
absl::StatusOr<absl::CivilDay> ParseSettlementDay(const std::string& text);

// FAILED_PRECONDITION (TOO_FEW_CHARGES): not enough to plant all in.
absl::StatusOr<SettlementLines> MakeSettlement(const Books& books, const SettlementWish& wish);

}  // namespace waybill::sandbox
