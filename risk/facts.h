// What is known of one order, payment or payout before its money moves: what it says of itself, and what was before it.
// Where these files say order, each of them is meant.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "domain/geo.h"

namespace waybill::risk {

// What is assessed. Persisted by name.
enum class Subject : uint8_t {
  kOrder,
  kPayment,  // one without an order
  kPayout,   // its user is the account that it is from, its card the destination
};
inline constexpr Subject kSubjects[] = {Subject::kOrder, Subject::kPayment, Subject::kPayout};
std::string_view Name(Subject subject);  // "order", "payment", "payout"
std::optional<Subject> ParseSubject(std::string_view name);
using Subjects = std::set<Subject>;
std::string PluralOf(const Subjects& subjects);  // "orders", "orders and payments"

// By what orders are told to belong together; within one client, whose names these are.
enum class Trait : uint8_t { kUser, kCard, kDevice, kAddress };
inline constexpr Trait kTraits[] = {Trait::kUser, Trait::kCard, Trait::kDevice, Trait::kAddress};
inline constexpr size_t kTraitCount = std::size(kTraits);
std::string_view Name(Trait trait);  // "user", "card", "device", "address"
// What it is called of a subject: of payouts "account" and "destination", which are nobody's user or card.
std::string_view Name(Trait trait, Subject subject);

struct Facts {
  Subject subject = Subject::kOrder;
  std::string client;
  std::array<std::string, kTraitCount> traits;  // by Trait; empty: it was not said
  int64_t amount_minor = 0;
  std::string currency;                      // ISO 4217
  std::optional<domain::GeoPoint> position;  // of the payer
  std::optional<absl::Time> account;         // since when the user's account is there

  const std::string& Of(Trait trait) const { return traits[static_cast<size_t>(trait)]; }
  std::string& Of(Trait trait) { return traits[static_cast<size_t>(trait)]; }
};

// The orders that were assessed before this one, whatever became of them, that share a trait with it and are younger
// than `within`: those later than now - within, which is out. With this one, which is of now, the window is open at its
// old end and closed at the present.
struct Window {
  Trait by = Trait::kUser;
  absl::Duration within;
  std::string currency;   // empty: of whatever currency, and their amounts are no sum
  bool declined = false;  // only those whose charge was declined
  Subjects of = {Subject::kOrder};

  friend bool operator==(const Window&, const Window&) = default;
};

struct Sum {
  int64_t count = 0;
  int64_t amount_minor = 0;  // the largest number at most
  friend bool operator==(const Sum&, const Sum&) = default;
};

// What rules have to know of what was before.
struct Questions {
  std::vector<Window> windows;  // each once
  // Of the same subject as the one that is assessed.
  bool first_seen = false;
  std::array<bool, kTraitCount> previous{};  // by Trait
};

struct Sighting {
  absl::Time at;
  domain::GeoPoint point;
  friend bool operator==(const Sighting&, const Sighting&) = default;
};

// The answers. The order itself is in none of them.
struct History {
  std::vector<Sum> windows;                                        // one for each that was asked for
  std::optional<absl::Time> first_seen;                            // of the user; nullopt: this is the first order
  std::array<std::optional<Sighting>, kTraitCount> previous = {};  // the latest with a position, by Trait

  friend bool operator==(const History&, const History&) = default;
};

}  // namespace waybill::risk
