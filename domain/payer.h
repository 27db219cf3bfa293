// What a caller says of who pays, for the rules of risk.
#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "domain/geo.h"

namespace waybill::domain {

// All of it may be missing.
struct Payer {
  std::string card;                   // a fingerprint of the card, never its number
  std::string device;                 // the caller's name for the device
  std::string address;                // where it is on the network, or a name for where it is in the world
  std::optional<GeoPoint> position;   // of the payer, now
  std::optional<absl::Time> account;  // since when the payer's account is there

  friend bool operator==(const Payer&, const Payer&) = default;
};

}  // namespace waybill::domain
