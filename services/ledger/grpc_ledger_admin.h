// waybill.ledger.v1.LedgerAdmin over a store.
#pragma once

#include <atomic>

#include "edge/rpc/server.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "services/ledger/ledger_metrics.h"
#include "storage/balance_cache.h"
#include "storage/ledger_store.h"

namespace waybill::ledger {

// One verification at a time, on an executor that it has for itself.
class Verifier {
 public:
  // All outlive it. `cache`: null, or compared with the store as well.
  Verifier(storage::LedgerStore& store, Executor& executor, LedgerMetrics& metrics, const Clock& clock,
           storage::BalanceCache* cache = nullptr)
      : store_(store), executor_(executor), metrics_(metrics), clock_(clock), cache_(cache) {}

  // Whoever it tells of progress. From one thread at a time.
  class Listener {
   public:
    virtual ~Listener() = default;
    // About once a second. False: it does not want to know any more.
    virtual bool Progress(const storage::VerifyProgress& progress) = 0;
    virtual void Done(const absl::StatusOr<storage::VerifyReport>& report) = 0;
  };
  // QUEUE_FULL while there is another one.
  absl::Status Begin(std::shared_ptr<Listener> listener);
  // What is under way ends soon, with SHUTTING_DOWN.
  void Stop() { stopping_ = true; }

 private:
  storage::LedgerStore& store_;
  Executor& executor_;
  LedgerMetrics& metrics_;
  const Clock& clock_;
  storage::BalanceCache* const cache_;
  std::atomic<bool> busy_{false};
  std::atomic<bool> stopping_{false};
};

// Before the server starts. All outlive it.
void AddLedgerAdmin(rpc::Server& server, storage::LedgerStore& store, Verifier& verifier, Executor& workers,
                    const Clock& clock);

}  // namespace waybill::ledger
