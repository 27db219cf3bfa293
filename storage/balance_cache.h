// Balances of the ledger outside of its store. All of it may be lost at any time, or be old: each says how old.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ledger/account.h"

namespace waybill::storage {

struct CachedBalance {
  ledger::Balance balance;
  std::string currency;

  friend bool operator==(const CachedBalance&, const CachedBalance&) = default;
};

// Thread-safe; calls block. STORE_UNAVAILABLE when it does not answer: then the ledger's store does.
class BalanceCache {
 public:
  virtual ~BalanceCache() = default;

  struct Found {
    // A balance that the account had `max_staleness` ago, or had later. Nothing: none is known to be as fresh.
    std::optional<CachedBalance> balance;
    // By the cache's clock, before which nothing was read here: for Put, of what is read from the store after this.
    absl::Time now;
  };
  virtual absl::StatusOr<Found> Get(const std::string& client, const std::string& account,
                                    absl::Duration max_staleness) = 0;
  // `as_of`: by the cache's clock, a time before the balance was read as the newest there is. Neither a smaller version
  // nor an earlier time takes the place of what is there.
  virtual absl::Status Put(const std::string& client, const std::string& account, const CachedBalance& balance,
                           absl::Time as_of) = 0;
  // Whatever is there of these accounts, by their ids, however old.
  virtual absl::StatusOr<std::map<std::string, CachedBalance>> Peek(const std::string& client,
                                                                    const std::vector<std::string>& accounts) = 0;
};

}  // namespace waybill::storage
