// The ledger as one would write it without a thought for speed: nothing but the list of what was made. Balances are
// sums over it, a chain works on a copy. What Apply and the stores do is compared with it.
#pragma once

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ledger/apply.h"

namespace waybill::ledger::testing {

class ReferenceLedger {
 public:
  struct Account {
    std::string currency;
    AccountFlags flags;
    std::string parent;
  };
  std::map<std::string, Account> accounts;
  absl::Time now = absl::FromUnixSeconds(1'800'000'000);

  std::vector<TransferResult> Post(const std::vector<NewTransfer>& batch) {
    std::vector<TransferResult> results;
    for (size_t first = 0; first < batch.size();) {
      size_t last = first;
      while (last < batch.size() && batch[last].linked) ++last;
      const bool open = last == batch.size();
      std::vector<NewTransfer> chain(batch.begin() + static_cast<std::ptrdiff_t>(first),
                                     batch.begin() + static_cast<std::ptrdiff_t>(open ? last : last + 1));
      const std::vector<TransferResult> of = open ? Open(chain) : Chain(chain);
      results.insert(results.end(), of.begin(), of.end());
      first += chain.size();
    }
    return results;
  }

  // What the chore does.
  void Expire() {
    const std::vector<Transfer> before = made_;
    for (const Transfer& held : before) {
      if (held.phase != Phase::kPending || ExpiresAt(held) > now || EndOf(held.id)) continue;
      Transfer row = held;
      row.id = "expired/" + held.id;
      row.phase = Phase::kExpired;
      row.pending_id = held.id;
      row.amount_minor = 0;
      made_.push_back(row);
    }
  }

  // Version aside.
  Balance Of(const std::string& id) const {
    Balance sum;
    for (const auto& [account, facts] : accounts) {
      if (account != id && facts.parent != id) continue;
      for (const Transfer& row : made_) {
        const bool debit = row.debit_account == account, credit = row.credit_account == account;
        if (!debit && !credit) continue;
        int64_t posted = 0, pending = 0;
        if (row.phase == Phase::kSingle || row.phase == Phase::kPost) posted = row.amount_minor;
        if (row.phase == Phase::kPending && !EndOf(row.id)) pending = row.amount_minor;
        if (debit) sum.debits_posted += posted, sum.debits_pending += pending;
        if (credit) sum.credits_posted += posted, sum.credits_pending += pending;
      }
    }
    return sum;
  }

  const std::vector<Transfer>& made() const { return made_; }
  const std::map<std::string, TransferResult>& refused() const { return refused_; }

 private:
  using R = TransferResult;

  // What is there, or was refused, says so in whatever chain.
  R OfFailed(const NewTransfer& transfer) const {
    if (Find(transfer.id) != nullptr) return CompareTransfer(transfer, *Find(transfer.id));
    const auto refused = refused_.find(transfer.id);
    return refused != refused_.end() ? refused->second : R::kLinkedTransferFailed;
  }

  std::vector<R> Open(const std::vector<NewTransfer>& chain) const {
    std::vector<R> results;
    for (const NewTransfer& transfer : chain) results.push_back(OfFailed(transfer));
    results.back() = R::kLinkedChainOpen;
    return results;
  }

  std::vector<R> Chain(const std::vector<NewTransfer>& chain) {
    const std::vector<Transfer> before = made_;
    size_t existing = 0;
    for (const NewTransfer& transfer : chain) {
      if (Find(transfer.id) != nullptr && CompareTransfer(transfer, *Find(transfer.id)) == R::kExists) ++existing;
    }
    if (existing == chain.size()) return std::vector<R>(chain.size(), R::kExists);
    std::vector<R> results;
    std::optional<size_t> failed;
    R why = R::kCreated;
    for (size_t at = 0; at < chain.size() && !failed; ++at) {
      const bool twice =
          std::any_of(chain.begin(), chain.begin() + static_cast<std::ptrdiff_t>(at),
                      [&](const NewTransfer& other) { return other.id == chain[at].id && results[0] == R::kCreated; });
      why = twice ? R::kLinkedIdRepeated : One(chain[at]);
      results.push_back(why);
      if (why == R::kCreated && results[0] == R::kExists) {
        why = R::kLinkedTransferFailed;
        failed = at;
      } else if (!(why == R::kCreated || (why == R::kExists && results[0] == R::kExists))) {
        // Behind a part that exists nothing is tried.
        if (results[0] == R::kExists && !Known(chain[at])) why = R::kLinkedTransferFailed;
        failed = at;
      }
    }
    if (!failed) return results;
    made_ = before;
    if (Row(why).of == ResultClass::kRefused && !Known(chain[*failed])) refused_[chain[*failed].id] = why;
    results.clear();
    for (const NewTransfer& transfer : chain) results.push_back(OfFailed(transfer));
    results[*failed] = why;
    if (chain.size() == 1) return {why};
    return results;
  }

  bool Known(const NewTransfer& transfer) const {
    return !IsId(transfer.id) || Find(transfer.id) != nullptr || refused_.contains(transfer.id);
  }

  R One(const NewTransfer& asked) {
    if (!IsId(asked.id)) return R::kIdMalformed;
    if (const Transfer* known = Find(asked.id)) return CompareTransfer(asked, *known);
    if (const auto refused = refused_.find(asked.id); refused != refused_.end()) return refused->second;
    if (const R fault = CheckTransfer(asked); fault != R::kCreated) return fault;
    Transfer row;
    static_cast<NewTransfer&>(row) = asked;
    row.requested_minor = asked.amount_minor;
    row.created_at = now;
    const bool ends = asked.phase == Phase::kPost || asked.phase == Phase::kVoid;
    const Transfer* held = ends ? Find(asked.pending_id) : nullptr;
    if (ends) {
      if (held == nullptr) return R::kPendingTransferNotFound;
      if (held->phase != Phase::kPending) return R::kPendingTransferNotPending;
      row.debit_account = held->debit_account;
      row.credit_account = held->credit_account;
      row.currency = held->currency;
      row.code = held->code;
    }
    if (!accounts.contains(row.debit_account)) return R::kDebitAccountNotFound;
    if (!accounts.contains(row.credit_account)) return R::kCreditAccountNotFound;
    const Account &debit = accounts.at(row.debit_account), &credit = accounts.at(row.credit_account);
    if (ends) {
      if (!asked.debit_account.empty() && asked.debit_account != held->debit_account) {
        return R::kPendingTransferHasDifferentDebitAccount;
      }
      if (!asked.credit_account.empty() && asked.credit_account != held->credit_account) {
        return R::kPendingTransferHasDifferentCreditAccount;
      }
      if (!asked.currency.empty() && asked.currency != held->currency) return R::kPendingTransferHasDifferentCurrency;
      if (asked.code != 0 && asked.code != held->code) return R::kPendingTransferHasDifferentCode;
      if (asked.amount_minor > held->amount_minor) return R::kExceedsPendingTransferAmount;
      if (asked.phase == Phase::kVoid && asked.amount_minor != 0 && asked.amount_minor != held->amount_minor) {
        return R::kPendingTransferHasDifferentAmount;
      }
      if (const std::optional<Phase> end = EndOf(held->id)) {
        return *end == Phase::kPost   ? R::kPendingTransferAlreadyPosted
               : *end == Phase::kVoid ? R::kPendingTransferAlreadyVoided
                                      : R::kPendingTransferExpired;
      }
      if (ExpiresAt(*held) <= now) return R::kPendingTransferExpired;
      if (asked.phase == Phase::kVoid) row.amount_minor = 0;
      if (asked.phase == Phase::kPost && asked.amount_minor == 0) row.amount_minor = held->amount_minor;
      row.released_minor = held->amount_minor;
    } else {
      if (debit.currency != asked.currency) return R::kDebitAccountHasDifferentCurrency;
      if (credit.currency != asked.currency) return R::kCreditAccountHasDifferentCurrency;
    }
    if (!asked.corrects.empty()) {
      const Transfer* corrected = Find(asked.corrects);
      if (corrected == nullptr) return R::kCorrectedTransferNotFound;
      if (corrected->phase != Phase::kSingle && corrected->phase != Phase::kPost) {
        return R::kCorrectedTransferNotPosted;
      }
      if (corrected->currency != row.currency) return R::kCorrectedTransferHasDifferentCurrency;
    }
    const auto closed = [&](const Account& account) {
      return account.flags.closed || (!account.parent.empty() && accounts.at(account.parent).flags.closed);
    };
    if (asked.phase != Phase::kVoid && closed(debit)) return R::kDebitAccountClosed;
    if (asked.phase != Phase::kVoid && closed(credit)) return R::kCreditAccountClosed;
    if (asked.balancing_debit || asked.balancing_credit) {
      int64_t most = asked.amount_minor == 0 ? std::numeric_limits<int64_t>::max() : asked.amount_minor;
      const Balance from = Of(row.debit_account), to = Of(row.credit_account);
      if (asked.balancing_debit) {
        most = std::min(most, from.credits_posted - from.debits_posted - from.debits_pending);
      }
      if (asked.balancing_credit) most = std::min(most, to.debits_posted - to.credits_posted - to.credits_pending);
      row.amount_minor = std::max<int64_t>(most, 0);
    }
    // Amounts are small here: nothing overflows.
    made_.push_back(row);
    for (const std::string& id : {row.debit_account, debit.parent, row.credit_account, credit.parent}) {
      if (id.empty()) continue;
      const Balance sum = Of(id);
      const AccountFlags& flags = accounts.at(id).flags;
      R over = R::kCreated;
      if (flags.debits_must_not_exceed_credits && sum.debits_posted + sum.debits_pending > sum.credits_posted) {
        over = R::kExceedsCredits;
      } else if (flags.credits_must_not_exceed_debits && sum.credits_posted + sum.credits_pending > sum.debits_posted) {
        over = R::kExceedsDebits;
      }
      if (over == R::kCreated) continue;
      made_.pop_back();
      return over;
    }
    return R::kCreated;
  }

  const Transfer* Find(const std::string& id) const {
    for (const Transfer& row : made_) {
      if (row.id == id) return &row;
    }
    return nullptr;
  }
  std::optional<Phase> EndOf(const std::string& id) const {
    for (const Transfer& row : made_) {
      if (row.pending_id == id) return row.phase;
    }
    return std::nullopt;
  }

  std::vector<Transfer> made_;
  std::map<std::string, TransferResult> refused_;
};

}  // namespace waybill::ledger::testing
