// What a batch of transfers does to the accounts that it touches: one pure function, for the store and for its fake.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "ledger/account.h"
#include "ledger/result.h"
#include "ledger/transfer.h"

namespace waybill::ledger {

// What is wrong with an account, whatever the ledger holds; kCreated: nothing.
AccountResult CheckAccount(const NewAccount& account);
// What is different from the account that has the id; kExists: nothing.
AccountResult CompareAccount(const NewAccount& account, const NewAccount& existing);
// Whether it may belong to that account (null: there is none); kCreated: it may.
AccountResult CheckParent(const NewAccount& account, const NewAccount* parent);

// What is wrong with a transfer, whatever the ledger holds, but for its id; kCreated: nothing.
TransferResult CheckTransfer(const NewTransfer& transfer);
// What is different from the transfer that has the id; kExists: nothing.
TransferResult CompareTransfer(const NewTransfer& transfer, const Transfer& existing);

// An account as a batch finds it, and leaves it.
struct BookAccount {
  std::string client;
  std::string id;
  int64_t number = 0;  // the store's; > 0
  std::string currency;
  AccountFlags flags;
  BookAccount* parent = nullptr;
  Balance balance;
  absl::Time changed_at;  // time does not run back from there
  uint64_t batch = 0;     // the last one that looked at it
  bool changed = false;
};

// What has an id: a transfer, or a refusal.
struct BookTransfer {
  Transfer transfer;  // of a refusal its client and id alone
  std::optional<TransferResult> refusal;
  int64_t write = 0;                // of the call that made it
  std::optional<Phase> resolution;  // of a pending one: what has ended it
  // Rows to be written: their accounts, and where their outcome is told.
  BookAccount* debit = nullptr;
  BookAccount* credit = nullptr;
  Outcome* outcome = nullptr;
  bool own = false;  // found already written by this call
};

// One caller's transfers.
struct Call {
  std::string_view client;
  // Tells this call from every other, so that its own transfers, when a commit's answer was lost, are told as created.
  int64_t write = 0;
  std::span<const NewTransfer> transfers;
  std::span<Outcome> outcomes;  // as many
  bool expiry = false;          // the ledger's own: of phase kExpired only
};

// The accounts and transfers that batches look at. Accounts may stay for the next batch, transfers may not. Used by one
// thread at a time.
class Book {
 public:
  Book() = default;
  Book(const Book&) = delete;
  Book& operator=(const Book&) = delete;

  BookAccount* FindAccount(std::string_view client, std::string_view id);
  BookTransfer* FindTransfer(std::string_view client, std::string_view id);
  // Adds it, or takes the place of one that has its id: pointers to it hold on.
  BookAccount& PutAccount(BookAccount account);
  BookTransfer& PutTransfer(BookTransfer transfer);
  void ForgetAccounts();  // and the transfers
  void ForgetTransfers();
  // Tells the outcomes of the rows, and of what met them in the same batch, the numbers that the rows got.
  void NumberRows(std::span<const int64_t> numbers);
  size_t accounts() const { return accounts_.size(); }

  // The rows that the last Apply wants written, in their order: transfers, and refusals.
  const std::deque<BookTransfer*>& rows() const { return rows_; }
  // The accounts that it looked at, in the order of their numbers; those that are `changed` have their new balance, the
  // version one greater than before, whatever of the batch concerned them.
  const std::vector<BookAccount*>& touched() const { return touched_; }

 private:
  friend class Application;
  using Key = std::pair<std::string_view, std::string_view>;

  absl::flat_hash_map<Key, std::unique_ptr<BookAccount>> accounts_;
  absl::flat_hash_map<Key, BookTransfer*> transfers_;
  std::deque<BookTransfer> kept_;  // what transfers_ points at
  std::deque<BookTransfer*> rows_;
  std::vector<std::pair<Outcome*, const BookTransfer*>> twins_;
  std::vector<BookAccount*> touched_;
  uint64_t batch_ = 0;
};

// Applies the calls one after the other, transfer by transfer, to the book, at `now`; what has an id but is not in the
// book counts as not there. Fills in the calls' outcomes, but for the numbers of new transfers. By `now` timeouts are
// judged; a transfer is made then, or when its accounts were changed last, if that is later.
void Apply(Book& book, std::span<const Call> calls, absl::Time now);

// The id of the transfer that lets a pending one expire; no client can have one like it.
std::string ExpiryId(std::string_view pending_id);

}  // namespace waybill::ledger
