// Whether what the cache has of balances is true.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "storage/balance_cache.h"
#include "storage/ledger_store.h"

namespace waybill::ledger {

// Compares each balance in the cache with the store's, and adds to the report what is wrong: one of a version that the
// account never came to, or another one than the account has at that version. An older one is right; where the account
// keeps history, if it was its own. A cache that does not answer is none: `cached` is -1 then. Writes go on meanwhile.
absl::Status VerifyCache(storage::LedgerStore& store, storage::BalanceCache& cache, storage::VerifyReport& report,
                         const std::function<bool(const storage::VerifyProgress&)>& progress);

}  // namespace waybill::ledger
