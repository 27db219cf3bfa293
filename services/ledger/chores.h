// What the ledger's service does besides serving. Any number of processes may do so at once.
#pragma once

#include "runtime/chores.h"
#include "services/ledger/ledger_metrics.h"
#include "storage/ledger_store.h"

namespace waybill::ledger {

// Lets pending transfers expire; at once again while there are more. `store` and `metrics` outlive them.
Chore ExpireChore(storage::LedgerStore& store, LedgerMetrics& metrics);
// Hashes what was committed into the chain of batches.
Chore SealChore(storage::LedgerStore& store, LedgerMetrics& metrics);

}  // namespace waybill::ledger
