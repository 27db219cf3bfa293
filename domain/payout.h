// Money that goes out to a payee, from the payee's account in the ledger: the payload of a saga of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace waybill::domain {

struct Payout {
  static constexpr std::string_view kKind = "payout";

  // Persisted by name.
  enum class State : uint8_t {
    kOpen,      // the amount is held, and the gateway is asked: nobody has said what became of it
    kPaid,      // the money is on its way; the hold is posted
    kRefused,   // nothing went, and nothing will; nothing is held any more
    kResolved,  // ended by a person; counts as paid
  };

  std::string client;       // whose account it is
  std::string payout_id;    // the client's own: 1-64 of A-Z a-z 0-9 . _ : -, unique per client
  std::string account;      // of the client, in the ledger
  std::string destination;  // where the money goes, as the gateway names it
  int64_t amount_minor = 0;
  std::string currency;
  std::string description;  // the client's words, for the payee
  State state = State::kOpen;
  std::string reference;  // the gateway's own, once it is paid
  std::string refusal;    // machine-readable, once it is refused
  absl::Time begun_at;
  std::optional<absl::Time> decided_at;

  struct Effects {
    bool decided = false;  // set how it stands
  };
  Effects effects;
};
inline constexpr Payout::State kPayoutStates[] = {Payout::State::kOpen, Payout::State::kPaid, Payout::State::kRefused,
                                                  Payout::State::kResolved};

// "open", "paid", ...
constexpr std::string_view Name(Payout::State state) {
  constexpr std::string_view kNames[] = {"open", "paid", "refused", "resolved"};
  return kNames[static_cast<size_t>(state)];
}
// nullopt: of a newer version.
inline std::optional<Payout::State> PayoutState(std::string_view name) {
  for (const Payout::State state : kPayoutStates) {
    if (Name(state) == name) return state;
  }
  return std::nullopt;
}

}  // namespace waybill::domain
