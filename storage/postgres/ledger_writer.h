// What writes transfers: one commit for all that came while the last one was under way.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "ledger/apply.h"
#include "storage/postgres/ledger_store.h"

namespace waybill::storage {

// Two ways to write a batch. The quick one trusts what it has in memory: it applies the batch to the balances that its
// last commit left, inserts the rows, and proves in the same transaction, by the accounts' versions, that nobody has
// changed them since, and by the unique ids that nothing of it was there: one round trip. Where that proves wrong, or
// the batch has results that depend on what an id has already, the careful one locks the accounts in the order of their
// numbers, reads, applies and writes: three round trips. Both leave the same rows.
class PostgresLedgerStore::Writer final : public BatchWriter<Posting> {
 public:
  Writer(std::string url, const Clock& clock, const LedgerStoreOptions& options);

  BatchResult Write(std::span<Posting> batch) override;
  void Complete(Posting& posting, const absl::Status& status) override;
  absl::Status BadDataError() override { return last_error_; }

 private:
  using Key = std::pair<std::string_view, std::string_view>;
  using Keys = absl::flat_hash_set<Key>;

  absl::Status Connect();
  absl::Status WriteQuickly(std::span<Posting> batch);
  absl::Status WriteCarefully(std::span<Posting> batch);

  // What the batch's transfers name: what they end or correct; with `ids` they themselves.
  static Keys TransfersOf(std::span<const Posting> batch, bool ids);
  // The accounts that they name, or that what they end names.
  Keys AccountsOf(std::span<const Posting> batch);
  absl::Status LoadAccounts(const Keys& wanted);
  absl::Status LoadTransfers(const Keys& wanted);
  absl::Status DecodeTransfers(const Rows& rows);
  absl::Status ReadLocked(const Rows& rows, const absl::flat_hash_map<int64_t, ledger::BookAccount*>& locked);

  void Apply(std::span<Posting> batch);
  void FillInsert();
  std::string InsertStatement() const;
  std::vector<Param> InsertParams() const;
  // After a commit: tells the numbers, and who wants to know what changed.
  void Committed(const Rows& numbers);
  void TellChanges();

  const std::string url_;
  const Clock& clock_;
  const LedgerStoreOptions& options_;
  std::unique_ptr<Connection> connection_;
  ledger::Book book_;
  int careful_left_ = 0;  // batches that are written carefully, since others write as well
  int careful_next_ = 1;  // how many, the next time
  absl::Status last_error_;
  absl::Status failed_;  // of the batch that is completed: it was given up
  SteadyTime failing_since_;
  bool failing_ = false;

  bool plain_ = false;  // what the rows say fits into the shorter statement
  bool one_time_ = true;
  absl::Time made_at_;  // of all rows, if so
  ArrayParam debit_{kOidInt8}, credit_{kOidInt8}, amount_{kOidInt8}, requested_{kOidInt8}, released_{kOidInt8},
      write_{kOidInt8}, code_{kOidInt4}, timeout_{kOidInt4}, linked_{kOidBool}, balancing_debit_{kOidBool},
      balancing_credit_{kOidBool}, phase_{kOidText}, currency_{kOidText}, client_{kOidText}, id_{kOidText},
      pending_id_{kOidText}, corrects_{kOidText}, user_data_{kOidText}, refusal_{kOidText},
      created_at_{kOidTimestamptz};
  ArrayParam numbers_{kOidInt8}, versions_{kOidInt8}, keys_client_{kOidText}, keys_id_{kOidText};
};

}  // namespace waybill::storage
