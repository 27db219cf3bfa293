// waybill.ledger.v1.LedgerService over a store.
#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "edge/rpc/server.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "services/ledger/ledger_metrics.h"
#include "storage/balance_cache.h"
#include "storage/ledger_store.h"

namespace waybill::ledger {

// The counterparts of Credit and Debit, opened when they are first needed. An id whose account is not there would be
// refused for ever. Thread-safe.
class Counterparts {
 public:
  explicit Counterparts(storage::LedgerStore& store) : store_(store) {}

  // Blocks on the store, the first time. OK: there is an account of that id, whoever has opened it.
  absl::Status Open(const std::string& client, const std::string& id, const std::string& currency);

 private:
  storage::LedgerStore& store_;
  std::mutex mutex_;
  std::set<std::pair<std::string, std::string>> known_;  // client and id
};

struct LedgerService {
  storage::LedgerStore& store;
  Executor& workers;  // for what waits for the store
  Counterparts& counterparts;
  LedgerMetrics& metrics;
  const Clock& clock;
  // For balances that may be old; null: they are read from the store as well.
  storage::BalanceCache* balances = nullptr;
};

// Before the server starts. What `service` refers to outlives the server.
void AddLedgerService(rpc::Server& server, const LedgerService& service);

}  // namespace waybill::ledger
