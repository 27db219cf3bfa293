// The double-entry ledger: accounts, transfers, balances now and before, and the proof that it is whole.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ledger/account.h"
#include "ledger/result.h"
#include "ledger/transfer.h"
#include "storage/order_store.h"

namespace waybill::storage {

// A page of accounts, by client and id. Filters are conjunctive; an empty one does not filter.
struct AccountQuery {
  Owner client;
  std::string owner;
  std::string currency;
  std::string kind;
  std::optional<int32_t> code;
  std::string parent;  // what belongs to it; with a client only
  // Only those behind this one.
  struct After {
    std::string client;
    std::string id;
  };
  std::optional<After> after;
  int limit = 50;
};

// What a pending transfer has come to. Of the other phases: kNone.
enum class Resolution : uint8_t { kNone, kOpen, kPosted, kVoided, kExpired };

std::string_view Name(Resolution resolution);  // "none", "open", "posted", "voided", "expired"

struct TransferRecord : ledger::Transfer {
  Resolution resolution = Resolution::kNone;  // overdue ones are open until the chore has come by
  std::string resolved_by;                    // the id of the transfer that did it; empty: none

  friend bool operator==(const TransferRecord&, const TransferRecord&) = default;
};

// A page of one account's transfers, those of what belongs to it not among them, the newest first.
struct StatementQuery {
  std::string client;
  std::string account;
  absl::Time from = absl::InfinitePast();
  absl::Time to = absl::InfiniteFuture();  // exclusive
  enum class Side : uint8_t { kBoth, kDebits, kCredits } side = Side::kBoth;
  std::optional<int64_t> before;  // only transfers with a smaller number
  int limit = 50;
};

// A balance as it was since `at`, until the next one.
struct BalanceMoment {
  absl::Time at;
  ledger::Balance balance;
  // Of BalanceAt: whatever is committed later, this stays the answer. Otherwise what is under way may change it.
  bool settled = false;

  friend bool operator==(const BalanceMoment&, const BalanceMoment&) = default;
};

struct HistoryQuery {
  std::string client;
  std::string account;
  std::optional<int64_t> before;  // only moments with a smaller version
  int limit = 50;
};

// The sums over all accounts of a client, currency and kind. What belongs to an account is in the account's alone, so
// that nothing counts twice. Sums are exact; one of more than 2^63 - 1 is SUM_TOO_LARGE.
struct TrialBalanceLine {
  std::string client;
  std::string currency;
  std::string kind;
  int64_t accounts = 0;
  int64_t debits_posted = 0;
  int64_t credits_posted = 0;
  int64_t debits_pending = 0;
  int64_t credits_pending = 0;

  friend bool operator==(const TrialBalanceLine&, const TrialBalanceLine&) = default;
};

// What sealing has come to: transfers are hashed into a chain of batches soon after they are committed, in the order of
// their numbers.
struct SealedBatch {
  int64_t number = 0;          // from 1, without gaps
  int64_t first_transfer = 0;  // numbers; a few between may be missing, since what is rolled back leaves gaps
  int64_t last_transfer = 0;
  int64_t transfers = 0;
  std::string previous_hash;  // hex of SHA-256
  std::string hash;
  absl::Time sealed_at;

  friend bool operator==(const SealedBatch&, const SealedBatch&) = default;
};

struct VerifyProgress {
  std::string_view stage;  // "chain", "balances", "pending", "history", "currencies"; "cache"
  int64_t done = 0;
  int64_t of = 0;  // roughly
};

struct VerifyReport {
  int64_t accounts = 0;
  int64_t transfers = 0;
  int64_t batches = 0;
  int64_t unsealed = 0;             // transfers that are in no batch yet
  std::string last_hash;            // of the newest batch; hex
  std::vector<std::string> faults;  // in words, at most kFaultsMax; empty: all is well
  bool more_faults = false;
  int64_t cached = 0;  // balances of a cache that were compared as well; -1: it does not answer

  static constexpr size_t kFaultsMax = 100;
  bool sound() const { return faults.empty(); }
  void AddFault(std::string what) {
    if (faults.size() < kFaultsMax) {
      faults.push_back(std::move(what));
    } else {
      more_faults = true;
    }
  }
};

// One account's balance after a commit.
struct BalanceChange {
  std::string client;
  std::string account;
  ledger::Balance balance;
  absl::Time at;
};

// Thread-safe; calls block on the store, unless they say otherwise. STORE_UNAVAILABLE when it does not answer. The ids
// of accounts and transfers are those of `client`; another client's account is as one that is not there.
class LedgerStore {
 public:
  virtual ~LedgerStore() = default;

  // Each has its own result, in the order of the accounts, at most ledger::kBatchMax. Durable when it returns. One may
  // be the parent of what comes after it.
  virtual absl::StatusOr<std::vector<ledger::AccountResult>> CreateAccounts(
      const std::string& client, const std::vector<ledger::NewAccount>& accounts) = 0;
  // LEDGER_ACCOUNT_NOT_FOUND. What is pending stays so, and can be voided while the account is closed.
  virtual absl::Status SetClosed(const std::string& client, const std::string& account, bool closed) = 0;

  // Called once, on a thread of the store's; shall not block. Each transfer has its own outcome, in their order, and
  // all are durable. An error: QUEUE_FULL (nothing was done), SHUTTING_DOWN or STORE_UNAVAILABLE (they may or may not
  // have been made; the same batch again tells).
  using Posted = std::function<void(absl::StatusOr<std::vector<ledger::Outcome>>)>;
  // At most ledger::kBatchMax; a chain does not reach beyond. Does not block: whatever comes while the last commit is
  // under way is one commit with it.
  virtual void Post(const std::string& client, std::vector<ledger::NewTransfer> transfers, Posted posted) = 0;
  // The same, and waits for it.
  absl::StatusOr<std::vector<ledger::Outcome>> PostAndWait(const std::string& client,
                                                           std::vector<ledger::NewTransfer> transfers);

  virtual absl::StatusOr<ledger::Account> GetAccount(const std::string& client,
                                                     const std::string& account) = 0;  // LEDGER_ACCOUNT_NOT_FOUND
  // Those that are there, in no order.
  virtual absl::StatusOr<std::vector<ledger::Account>> GetAccounts(const std::string& client,
                                                                   const std::vector<std::string>& accounts) = 0;
  virtual absl::StatusOr<std::vector<ledger::Account>> ListAccounts(const AccountQuery& query) = 0;

  virtual absl::StatusOr<TransferRecord> GetTransfer(const std::string& client,
                                                     const std::string& transfer) = 0;  // TRANSFER_NOT_FOUND
  // Those that are there, in no order.
  virtual absl::StatusOr<std::vector<TransferRecord>> GetTransfers(const std::string& client,
                                                                   const std::vector<std::string>& transfers) = 0;
  // Why a transfer of that id is refused for ever; nothing: it is not.
  virtual absl::StatusOr<std::optional<ledger::TransferResult>> GetRefusal(const std::string& client,
                                                                           const std::string& transfer) = 0;
  // LEDGER_ACCOUNT_NOT_FOUND
  virtual absl::StatusOr<std::vector<TransferRecord>> Statement(const StatementQuery& query) = 0;

  // What the account held at that moment: the last balance at or before it, or an empty one when it had none yet.
  // Settled as a rule some seconds after the moment, when Seal has come by. LEDGER_ACCOUNT_NOT_FOUND, HISTORY_NOT_KEPT.
  virtual absl::StatusOr<BalanceMoment> BalanceAt(const std::string& client, const std::string& account,
                                                  absl::Time moment) = 0;
  // The newest first. LEDGER_ACCOUNT_NOT_FOUND, HISTORY_NOT_KEPT.
  virtual absl::StatusOr<std::vector<BalanceMoment>> History(const HistoryQuery& query) = 0;

  // By client, currency and kind; nullopt: of all clients.
  virtual absl::StatusOr<std::vector<TrialBalanceLine>> TrialBalance(const Owner& client) = 0;

  // A chore's: lets at most so many pending transfers expire whose timeout is over, and says how many there were. Any
  // number of processes may do so at once.
  virtual absl::StatusOr<int> ExpireDue(int limit) = 0;
  // A chore's: seals what has been committed since, at most so many transfers; says how many. A transfer is sealed when
  // every transaction that began before its number was given out has ended: by the second call after it, as a rule.
  virtual absl::StatusOr<int64_t> Seal(int64_t limit) = 0;
  // The chain behind that number, oldest first.
  virtual absl::StatusOr<std::vector<SealedBatch>> Batches(int64_t after, int limit) = 0;

  // Recomputes everything from the transfers: the chain of batches, every account's balances, what is pending, history,
  // and that each currency's sum is zero. Takes as long as there are transfers, in bounded memory; `progress` may be
  // empty, and ends it by answering false (CANCELLED). Writes go on meanwhile.
  virtual absl::StatusOr<VerifyReport> Verify(const std::function<bool(const VerifyProgress&)>& progress) = 0;

  virtual absl::Status Ping() = 0;
};

// LEDGER_ACCOUNT_NOT_FOUND, TRANSFER_NOT_FOUND, HISTORY_NOT_KEPT.
absl::Status AccountNotFound(const std::string& account);
absl::Status TransferNotFound(const std::string& transfer);
absl::Status HistoryNotKept(const std::string& account);

}  // namespace waybill::storage
