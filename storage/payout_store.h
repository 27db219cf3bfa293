// Reads of payouts. Writes go through their sagas' journal, which moves their holds in the ledger in the same commits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "domain/payout.h"
#include "runtime/ids.h"
#include "saga/record.h"
#include "storage/order_store.h"

namespace waybill::storage {

using PayoutRecord = saga::RecordOf<domain::Payout>;

// By which the store may refuse to begin one: its account has not so much, or is not there, not open, or of another
// currency.
inline constexpr std::string_view kPayoutWithinBalance = "payouts_within_balance";
inline constexpr std::string_view kDebitsWithinCredits = "ledger_accounts_debits_within_credits";
inline constexpr std::string_view kPayoutFromAnAccount = "payouts_from_an_account";

// A page, the newest first. Filters are conjunctive; an empty one does not filter.
struct PayoutQuery {
  Owner client;
  std::string account;
  std::optional<domain::Payout::State> state;
  std::optional<Uuid> before;  // only those behind this one
  int limit = 50;
};

// Thread-safe; every call blocks on the store. STORE_UNAVAILABLE when it does not answer; UNREADABLE_ROW when a row is
// of a newer version.
class PayoutStore {
 public:
  virtual ~PayoutStore() = default;
  // The payout to which `client` has given this id. PAYOUT_NOT_FOUND.
  virtual absl::StatusOr<PayoutRecord> Find(const std::string& client, const std::string& payout_id) = 0;
  virtual absl::StatusOr<std::vector<PayoutRecord>> List(const PayoutQuery& query) = 0;
  // Minor units that could be held for a payout now; may be below 0. nullopt: the client has no open account of this id
  // and currency.
  virtual absl::StatusOr<std::optional<int64_t>> Available(const std::string& client, const std::string& account,
                                                           const std::string& currency) = 0;
};

absl::Status PayoutNotFound(const std::string& payout_id);

}  // namespace waybill::storage
