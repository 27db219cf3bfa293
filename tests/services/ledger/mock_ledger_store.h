// A store of which a test says what it answers; Post is answered at once, on the caller's thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "storage/balance_cache.h"
#include "storage/ledger_store.h"

namespace waybill::ledger {

class MockLedgerStore : public storage::LedgerStore {
 public:
  using LedgerStore::Posted;

  MOCK_METHOD(absl::StatusOr<std::vector<AccountResult>>, CreateAccounts,
              (const std::string&, const std::vector<NewAccount>&), (override));
  MOCK_METHOD(absl::Status, SetClosed, (const std::string&, const std::string&, bool), (override));
  MOCK_METHOD(absl::StatusOr<std::vector<Outcome>>, Made, (const std::string&, const std::vector<NewTransfer>&));
  void Post(const std::string& client, std::vector<NewTransfer> transfers, Posted posted) override {
    posted(Made(client, transfers));
  }
  MOCK_METHOD(absl::StatusOr<Account>, GetAccount, (const std::string&, const std::string&), (override));
  MOCK_METHOD(absl::StatusOr<std::vector<Account>>, GetAccounts, (const std::string&, const std::vector<std::string>&),
              (override));
  MOCK_METHOD(absl::StatusOr<std::vector<Account>>, ListAccounts, (const storage::AccountQuery&), (override));
  MOCK_METHOD(absl::StatusOr<storage::TransferRecord>, GetTransfer, (const std::string&, const std::string&),
              (override));
  MOCK_METHOD(absl::StatusOr<std::vector<storage::TransferRecord>>, GetTransfers,
              (const std::string&, const std::vector<std::string>&), (override));
  MOCK_METHOD(absl::StatusOr<std::optional<TransferResult>>, GetRefusal, (const std::string&, const std::string&),
              (override));
  MOCK_METHOD(absl::StatusOr<std::vector<storage::TransferRecord>>, Statement, (const storage::StatementQuery&),
              (override));
  MOCK_METHOD(absl::StatusOr<storage::BalanceMoment>, BalanceAt, (const std::string&, const std::string&, absl::Time),
              (override));
  MOCK_METHOD(absl::StatusOr<std::vector<storage::BalanceMoment>>, History, (const storage::HistoryQuery&), (override));
  MOCK_METHOD(absl::StatusOr<std::vector<storage::TrialBalanceLine>>, TrialBalance, (const storage::Owner&),
              (override));
  MOCK_METHOD(absl::StatusOr<int>, ExpireDue, (int), (override));
  MOCK_METHOD(absl::StatusOr<int64_t>, Seal, (int64_t), (override));
  MOCK_METHOD(absl::StatusOr<std::vector<storage::SealedBatch>>, Batches, (int64_t, int), (override));
  MOCK_METHOD(absl::StatusOr<storage::VerifyReport>, Verify,
              (const std::function<bool(const storage::VerifyProgress&)>&), (override));
  MOCK_METHOD(absl::Status, Ping, (), (override));
};

class MockBalanceCache : public storage::BalanceCache {
 public:
  MOCK_METHOD(absl::StatusOr<Found>, Get, (const std::string&, const std::string&, absl::Duration), (override));
  MOCK_METHOD(absl::Status, Put, (const std::string&, const std::string&, const storage::CachedBalance&, absl::Time),
              (override));
  MOCK_METHOD((absl::StatusOr<std::map<std::string, storage::CachedBalance>>), Peek,
              (const std::string&, const std::vector<std::string>&), (override));
};

}  // namespace waybill::ledger
