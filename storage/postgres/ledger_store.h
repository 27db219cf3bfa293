// The ledger in Postgres: ledger_accounts, ledger_transfers and what hangs on them. Transfers that come together share
// a commit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/batcher.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/random.h"
#include "storage/ledger_store.h"
#include "storage/postgres/pool.h"

namespace waybill::storage {

// Where a test may pause a writer, or lose its connection (an error does).
enum class LedgerGap : uint8_t {
  kAfterRead,    // accounts and transfers are looked up; nothing is locked
  kAfterLock,    // the careful way alone: accounts are locked, nothing is written
  kAfterCommit,  // nobody was told
};

struct LedgerStoreOptions {
  int writers = 1;             // connections, each with a thread; more than one get in each other's way at hot accounts
  size_t queue_max = 100'000;  // transfers that wait; more are refused
  size_t batch_max = 2'000;    // of a commit, unless a single call has more
  size_t accounts_max = 100'000;  // that a writer keeps in memory
  absl::Duration statement_timeout = absl::Seconds(10);
  absl::Duration connect_timeout = absl::Seconds(2);

  // After each commit, on the writer's thread: what changed, the newest balance of each account once.
  std::function<void(std::span<const BalanceChange>)> on_changes = [](std::span<const BalanceChange>) {};
  // After each commit: its rows, how long it took, and whether accounts had to be locked first.
  std::function<void(size_t rows, absl::Duration took, bool careful)> on_commit = [](size_t, absl::Duration, bool) {};
  // A write that failed, each attempt: it is tried again.
  std::function<void(const absl::Status&)> on_error = [](const absl::Status&) {};
  std::function<absl::Status(LedgerGap)> in_gap = [](LedgerGap) { return absl::OkStatus(); };
};

// `writes` has connections that commit (WriteConnectionOptions); pages are read by `reads`.
struct LedgerStoreDeps {
  std::string url;
  Pool& writes;
  Pool& reads;
  const Clock& clock;
  Random& random;
  const Loops& loops;
};

class PostgresLedgerStore final : public LedgerStore {
 public:
  // Connects when there is something to write.
  explicit PostgresLedgerStore(const LedgerStoreDeps& deps, LedgerStoreOptions options = {});
  ~PostgresLedgerStore() override;

  absl::StatusOr<std::vector<ledger::AccountResult>> CreateAccounts(
      const std::string& client, const std::vector<ledger::NewAccount>& accounts) override;
  absl::Status SetClosed(const std::string& client, const std::string& account, bool closed) override;
  void Post(const std::string& client, std::vector<ledger::NewTransfer> transfers, Posted posted) override;
  absl::StatusOr<ledger::Account> GetAccount(const std::string& client, const std::string& account) override;
  absl::StatusOr<std::vector<ledger::Account>> GetAccounts(const std::string& client,
                                                           const std::vector<std::string>& accounts) override;
  absl::StatusOr<std::vector<ledger::Account>> ListAccounts(const AccountQuery& query) override;
  absl::StatusOr<TransferRecord> GetTransfer(const std::string& client, const std::string& transfer) override;
  absl::StatusOr<std::vector<TransferRecord>> GetTransfers(const std::string& client,
                                                           const std::vector<std::string>& transfers) override;
  absl::StatusOr<std::optional<ledger::TransferResult>> GetRefusal(const std::string& client,
                                                                   const std::string& transfer) override;
  absl::StatusOr<std::vector<TransferRecord>> Statement(const StatementQuery& query) override;
  absl::StatusOr<BalanceMoment> BalanceAt(const std::string& client, const std::string& account,
                                          absl::Time moment) override;
  absl::StatusOr<std::vector<BalanceMoment>> History(const HistoryQuery& query) override;
  absl::StatusOr<std::vector<TrialBalanceLine>> TrialBalance(const Owner& client) override;
  absl::StatusOr<int> ExpireDue(int limit) override;
  absl::StatusOr<int64_t> Seal(int64_t limit) override;
  absl::StatusOr<std::vector<SealedBatch>> Batches(int64_t after, int limit) override;
  absl::StatusOr<VerifyReport> Verify(const std::function<bool(const VerifyProgress&)>& progress) override;
  absl::Status Ping() override;

  // Writes what is queued, unless the store is away; then joins the threads.
  void Stop() { batcher_->Stop(); }

  size_t queue_depth() const { return batcher_->queue_depth(); }
  int retrying() const { return batcher_->retrying(); }

  // One call that waits for its commit.
  struct Posting {
    std::string client;
    int64_t write = 0;
    std::vector<ledger::NewTransfer> transfers;
    std::vector<ledger::Outcome> outcomes;
    bool expiry = false;
    Posted posted;

    size_t weight() const { return transfers.size(); }
  };

 private:
  class Writer;

  void Offer(Posting posting);
  // One statement, prepared under that name, on a connection of the pool's.
  static absl::StatusOr<Rows> Run(Pool& pool, const std::string& name, const std::string& sql,
                                  const std::vector<Param>& params);
  struct AccountFacts {
    int64_t number = 0;
    bool history = false;
    absl::Time created_at;
  };
  absl::StatusOr<AccountFacts> Facts(const std::string& client, const std::string& account);

  const std::string url_;
  Pool& writes_;
  Pool& reads_;
  const Clock& clock_;
  Random& random_;
  const LedgerStoreOptions options_;
  std::vector<std::unique_ptr<Writer>> writers_;
  std::unique_ptr<Batcher<Posting>> batcher_;
};

}  // namespace waybill::storage
