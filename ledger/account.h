// Accounts of the ledger: what they are and what they hold. Amounts are minor units of the account's currency.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace waybill::ledger {

// Ids of accounts and transfers are the client's: 1 to 64 characters of A-Z, a-z, 0-9, and . _ : -
inline constexpr size_t kIdMax = 64;
bool IsId(std::string_view id);
// Words, such as an account's kind: 1 to 32 characters of a-z, 0-9 and _, a letter first.
inline constexpr size_t kKindMax = 32;
bool IsKind(std::string_view kind);

inline constexpr size_t kOwnerMax = 128;  // bytes of UTF-8
inline constexpr size_t kMetadataEntriesMax = 16;
inline constexpr size_t kMetadataKeyMax = 40;     // bytes; the same characters as ids
inline constexpr size_t kMetadataValueMax = 256;  // bytes of UTF-8

struct AccountFlags {
  // What is debited, pending included, is never more than what was credited: an account that cannot be overdrawn.
  bool debits_must_not_exceed_credits = false;
  // The reverse. An account has at most one of the two.
  bool credits_must_not_exceed_debits = false;
  // Its balances at any time in the past can be read.
  bool history = false;
  // Takes no transfers but those that void, or let expire, what was pending.
  bool closed = false;

  friend bool operator==(const AccountFlags&, const AccountFlags&) = default;
};

// What a client says of an account, once. Of these only `closed` changes later.
struct NewAccount {
  std::string id;
  std::string owner;     // whose it is, in the client's words; may be empty
  std::string currency;  // "EUR"
  std::string kind;      // "wallet", "card", "platform", "gateway", "driver"
  int32_t code = 0;      // the client's chart of accounts; > 0
  AccountFlags flags;
  // Of a sub-account or a card: the account that it belongs to, which has the same currency and none itself. What is
  // debited and credited here counts there too, and there the flags hold for the sum. Empty: none.
  std::string parent;
  std::map<std::string, std::string> metadata;

  friend bool operator==(const NewAccount&, const NewAccount&) = default;
};

// Each is >= 0, and so is each side's sum of posted and pending, within int64. Of an account that others belong to:
// theirs included.
struct Balance {
  int64_t debits_posted = 0;
  int64_t credits_posted = 0;
  int64_t debits_pending = 0;
  int64_t credits_pending = 0;
  // Grows whenever one of those changes; 0: nothing was ever posted. Of two answers the one with the greater is newer.
  int64_t version = 0;

  friend bool operator==(const Balance&, const Balance&) = default;
};

// What may still be debited from an account that must not be overdrawn (negative of one that is, since it may).
// Within int64, since all are >= 0 and each side's sum fits.
constexpr int64_t Available(const Balance& balance) {
  return balance.credits_posted - (balance.debits_posted + balance.debits_pending);
}

struct Account : NewAccount {
  std::string client;  // whose ids these are
  absl::Time created_at;
  Balance balance;

  friend bool operator==(const Account&, const Account&) = default;
};

}  // namespace waybill::ledger
