// A ledger of a book alone: what tests of Apply begin with.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ledger/apply.h"

namespace waybill::ledger::testing {

class MemoryLedger {
 public:
  static constexpr char kClient[] = "acme";

  BookAccount& Open(const std::string& id, AccountFlags flags = {}, const std::string& parent = "",
                    const std::string& currency = "EUR") {
    BookAccount account;
    account.client = kClient;
    account.id = id;
    account.number = ++accounts_;
    account.currency = currency;
    account.flags = flags;
    if (!parent.empty()) account.parent = book_.FindAccount(kClient, parent);
    return book_.PutAccount(std::move(account));
  }

  // One call; the same `write` again is the same call repeated after its answer was lost.
  std::vector<Outcome> Post(const std::vector<NewTransfer>& transfers, int64_t write = 0, bool expiry = false) {
    std::vector<Outcome> outcomes(transfers.size());
    const Call call{kClient, write != 0 ? write : ++writes_, transfers, outcomes, expiry};
    book_.ForgetTransfers();
    for (const BookTransfer& known : kept_) book_.PutTransfer(known);
    Apply(book_, {&call, 1}, now);
    std::vector<int64_t> numbers;
    for (size_t n = 0; n < book_.rows().size(); ++n) numbers.push_back(++numbers_);
    book_.NumberRows(numbers);
    rows = static_cast<int>(book_.rows().size());
    std::vector<BookTransfer> fresh;
    for (const BookTransfer* row : book_.rows()) fresh.push_back(*row);
    for (BookTransfer& known : kept_) {
      known.own = false;
      if (const BookTransfer* seen = book_.FindTransfer(kClient, known.transfer.id); seen != nullptr) {
        known.resolution = seen->resolution;
      }
    }
    for (BookTransfer& row : fresh) {
      row.debit = row.credit = nullptr;
      row.outcome = nullptr;
      kept_.push_back(std::move(row));
    }
    return outcomes;
  }
  TransferResult PostOne(const NewTransfer& transfer) {
    return Post(std::vector<NewTransfer>{transfer}).front().result;
  }
  std::vector<TransferResult> Results(const std::vector<NewTransfer>& transfers, int64_t write = 0) {
    std::vector<TransferResult> results;
    for (const Outcome& outcome : Post(transfers, write)) results.push_back(outcome.result);
    return results;
  }

  const Balance& Of(const std::string& account) { return book_.FindAccount(kClient, account)->balance; }
  Book& book() { return book_; }
  const std::deque<BookTransfer>& kept() const { return kept_; }

  absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  int rows = 0;  // that the last batch wrote

 private:
  Book book_;
  std::deque<BookTransfer> kept_;
  int64_t accounts_ = 0, numbers_ = 0, writes_ = 0;
};

inline NewTransfer Move(std::string id, std::string debit, std::string credit, int64_t amount) {
  NewTransfer transfer;
  transfer.id = std::move(id);
  transfer.debit_account = std::move(debit);
  transfer.credit_account = std::move(credit);
  transfer.currency = "EUR";
  transfer.code = 1;
  transfer.amount_minor = amount;
  return transfer;
}

inline NewTransfer Hold(std::string id, std::string debit, std::string credit, int64_t amount, int64_t timeout = 0) {
  NewTransfer transfer = Move(std::move(id), std::move(debit), std::move(credit), amount);
  transfer.phase = Phase::kPending;
  transfer.timeout_seconds = timeout;
  return transfer;
}

inline NewTransfer End(std::string id, Phase phase, std::string pending, int64_t amount = 0) {
  NewTransfer transfer;
  transfer.id = std::move(id);
  transfer.phase = phase;
  transfer.pending_id = std::move(pending);
  transfer.amount_minor = amount;
  return transfer;
}

inline NewTransfer Linked(NewTransfer transfer) {
  transfer.linked = true;
  return transfer;
}

}  // namespace waybill::ledger::testing
