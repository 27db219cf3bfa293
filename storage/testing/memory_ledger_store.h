// The ledger in memory.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ledger/apply.h"
#include "runtime/clock.h"
#include "storage/ledger_store.h"

namespace waybill::storage::testing {

class MemoryLedgerStore final : public LedgerStore {
 public:
  explicit MemoryLedgerStore(const Clock& clock) : clock_(clock) {}

  // Every call answers this until it is OK again.
  void set_error(absl::Status error);
  // As the Postgres store's: called after each commit. Set before there are threads.
  std::function<void(std::span<const BalanceChange>)> on_changes = [](std::span<const BalanceChange>) {};

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

 private:
  using Key = std::pair<std::string, std::string>;  // client, id
  struct Kept {
    ledger::Account account;  // but for its balance
    ledger::BookAccount* book = nullptr;
    std::vector<BalanceMoment> history;
  };

  // Under mutex_.
  std::vector<ledger::Outcome> Apply(const std::string& client, std::span<const ledger::NewTransfer> transfers,
                                     bool expiry, std::vector<BalanceChange>& changes);
  ledger::Account Now(const Kept& kept) const;
  const Kept* Find(const std::string& client, const std::string& account) const;
  TransferRecord Record(const ledger::BookTransfer& row) const;
  std::string HashOf(int64_t from, int64_t to, const std::string& previous, int64_t& transfers) const;

  const Clock& clock_;
  mutable std::mutex mutex_;  // over all below
  absl::Status error_;
  ledger::Book book_;
  std::map<Key, Kept> accounts_;
  std::deque<ledger::BookTransfer> rows_;  // and refusals; each one's number is its place, from 1
  std::map<Key, ledger::BookTransfer*> by_id_;
  std::map<Key, const ledger::BookTransfer*> ends_;  // by what they end
  std::vector<SealedBatch> batches_;
  int64_t writes_ = 0;
  int64_t numbers_ = 0;
};

}  // namespace waybill::storage::testing
