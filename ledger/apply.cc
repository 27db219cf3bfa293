#include "ledger/apply.h"

#include <algorithm>

#include "domain/currency.h"
#include "fmt/format.h"
#include "runtime/text.h"

namespace waybill::ledger {
namespace {

// UTF-8 without control characters.
bool IsPlainText(std::string_view text, size_t max) {
  if (text.size() > max) return false;
  const Utf8 read = ReadUtf8(text);
  return read.valid && !read.has_control;
}

bool Ends(Phase phase) { return phase == Phase::kPost || phase == Phase::kVoid || phase == Phase::kExpired; }

}  // namespace

AccountResult CheckAccount(const NewAccount& account) {
  if (!IsId(account.id)) return AccountResult::kIdMalformed;
  if (!IsPlainText(account.owner, kOwnerMax)) return AccountResult::kOwnerMalformed;
  if (!domain::CurrencyExponent(account.currency)) return AccountResult::kCurrencyUnknown;
  if (!IsKind(account.kind)) return AccountResult::kKindMalformed;
  if (account.code <= 0) return AccountResult::kCodeMustBePositive;
  if (account.flags.debits_must_not_exceed_credits && account.flags.credits_must_not_exceed_debits) {
    return AccountResult::kFlagsAreMutuallyExclusive;
  }
  if (account.metadata.size() > kMetadataEntriesMax) return AccountResult::kMetadataMalformed;
  for (const auto& [key, value] : account.metadata) {
    if (!IsId(key) || key.size() > kMetadataKeyMax || !IsPlainText(value, kMetadataValueMax)) {
      return AccountResult::kMetadataMalformed;
    }
  }
  if (!account.parent.empty() && !IsId(account.parent)) return AccountResult::kParentMalformed;
  if (account.parent == account.id) return AccountResult::kParentMustBeDifferent;
  return AccountResult::kCreated;
}

AccountResult CompareAccount(const NewAccount& account, const NewAccount& existing) {
  // What was closed since is the same account.
  AccountFlags asked = account.flags, has = existing.flags;
  asked.closed = has.closed = false;
  if (asked != has) return AccountResult::kExistsWithDifferentFlags;
  if (account.owner != existing.owner) return AccountResult::kExistsWithDifferentOwner;
  if (account.currency != existing.currency) return AccountResult::kExistsWithDifferentCurrency;
  if (account.kind != existing.kind) return AccountResult::kExistsWithDifferentKind;
  if (account.code != existing.code) return AccountResult::kExistsWithDifferentCode;
  if (account.parent != existing.parent) return AccountResult::kExistsWithDifferentParent;
  if (account.metadata != existing.metadata) return AccountResult::kExistsWithDifferentMetadata;
  return AccountResult::kExists;
}

AccountResult CheckParent(const NewAccount& account, const NewAccount* parent) {
  if (parent == nullptr) return AccountResult::kParentNotFound;
  if (!parent->parent.empty()) return AccountResult::kParentHasParent;
  if (parent->currency != account.currency) return AccountResult::kParentHasDifferentCurrency;
  if (parent->flags.closed) return AccountResult::kParentClosed;
  return AccountResult::kCreated;
}

TransferResult CheckTransfer(const NewTransfer& transfer) {
  const Phase phase = transfer.phase;
  const bool ends = phase == Phase::kPost || phase == Phase::kVoid;
  const bool balancing = transfer.balancing_debit || transfer.balancing_credit;
  if (phase == Phase::kExpired) return TransferResult::kPhaseReserved;
  if (balancing && ends) return TransferResult::kBalancingReserved;
  if (!IsId(transfer.debit_account) && !(ends && transfer.debit_account.empty())) {
    return TransferResult::kDebitAccountMalformed;
  }
  if (!IsId(transfer.credit_account) && !(ends && transfer.credit_account.empty())) {
    return TransferResult::kCreditAccountMalformed;
  }
  if (!transfer.debit_account.empty() && transfer.debit_account == transfer.credit_account) {
    return TransferResult::kAccountsMustBeDifferent;
  }
  if (!ends && !transfer.pending_id.empty()) return TransferResult::kPendingIdMustBeEmpty;
  if (ends && !IsId(transfer.pending_id)) return TransferResult::kPendingIdMalformed;
  if (ends && transfer.pending_id == transfer.id) return TransferResult::kPendingIdMustBeDifferent;
  if (phase != Phase::kPending && transfer.timeout_seconds != 0) return TransferResult::kTimeoutReserved;
  if (transfer.timeout_seconds < 0 || transfer.timeout_seconds > kTimeoutMax) {
    return TransferResult::kTimeoutOutOfRange;
  }
  if (transfer.amount_minor < 0 || (transfer.amount_minor == 0 && !balancing && !ends)) {
    return TransferResult::kAmountMustBePositive;
  }
  if (!domain::CurrencyExponent(transfer.currency) && !(ends && transfer.currency.empty())) {
    return TransferResult::kCurrencyUnknown;
  }
  if (transfer.code < 0 || (transfer.code == 0 && !ends)) return TransferResult::kCodeMustBePositive;
  if (!IsPlainText(transfer.user_data, kUserDataMax)) return TransferResult::kUserDataMalformed;
  if (!transfer.corrects.empty() && !IsId(transfer.corrects)) return TransferResult::kCorrectsMalformed;
  if (!transfer.corrects.empty() && transfer.corrects == transfer.id) return TransferResult::kCorrectsMustBeDifferent;
  return TransferResult::kCreated;
}

TransferResult CompareTransfer(const NewTransfer& transfer, const Transfer& existing) {
  const bool ends = Ends(transfer.phase);
  const auto other = [&](const auto& asked, const auto& has, const auto& left_out) {
    return asked != has && !(ends && asked == left_out);
  };
  if (transfer.phase != existing.phase) return TransferResult::kExistsWithDifferentPhase;
  if (transfer.pending_id != existing.pending_id) return TransferResult::kExistsWithDifferentPendingId;
  if (transfer.timeout_seconds != existing.timeout_seconds) return TransferResult::kExistsWithDifferentTimeout;
  if (other(transfer.debit_account, existing.debit_account, "")) {
    return TransferResult::kExistsWithDifferentDebitAccount;
  }
  if (other(transfer.credit_account, existing.credit_account, "")) {
    return TransferResult::kExistsWithDifferentCreditAccount;
  }
  if (transfer.amount_minor != existing.requested_minor) return TransferResult::kExistsWithDifferentAmount;
  if (transfer.user_data != existing.user_data) return TransferResult::kExistsWithDifferentUserData;
  if (other(transfer.currency, existing.currency, "")) return TransferResult::kExistsWithDifferentCurrency;
  if (other(transfer.code, existing.code, 0)) return TransferResult::kExistsWithDifferentCode;
  if (transfer.balancing_debit != existing.balancing_debit || transfer.balancing_credit != existing.balancing_credit) {
    return TransferResult::kExistsWithDifferentBalancing;
  }
  if (transfer.corrects != existing.corrects) return TransferResult::kExistsWithDifferentCorrects;
  return TransferResult::kExists;
}

BookAccount* Book::FindAccount(std::string_view client, std::string_view id) {
  const auto it = accounts_.find(Key{client, id});
  return it == accounts_.end() ? nullptr : it->second.get();
}

BookTransfer* Book::FindTransfer(std::string_view client, std::string_view id) {
  const auto it = transfers_.find(Key{client, id});
  return it == transfers_.end() ? nullptr : it->second;
}

BookAccount& Book::PutAccount(BookAccount account) {
  if (BookAccount* known = FindAccount(account.client, account.id); known != nullptr) {
    // The texts stay where they are: the map's key points at them.
    known->number = account.number;
    known->currency = std::move(account.currency);
    known->flags = account.flags;
    known->parent = account.parent;
    known->balance = account.balance;
    known->changed_at = account.changed_at;
    return *known;
  }
  auto added = std::make_unique<BookAccount>(std::move(account));
  BookAccount& as = *added;
  accounts_.emplace(Key{as.client, as.id}, std::move(added));
  return as;
}

BookTransfer& Book::PutTransfer(BookTransfer transfer) {
  if (BookTransfer* known = FindTransfer(transfer.transfer.client, transfer.transfer.id); known != nullptr) {
    return *known;
  }
  BookTransfer& added = kept_.emplace_back(std::move(transfer));
  transfers_.emplace(Key{added.transfer.client, added.transfer.id}, &added);
  return added;
}

void Book::ForgetAccounts() {
  ForgetTransfers();
  touched_.clear();
  accounts_.clear();
}

void Book::ForgetTransfers() {
  transfers_.clear();
  rows_.clear();
  twins_.clear();
  kept_.clear();
}

void Book::NumberRows(std::span<const int64_t> numbers) {
  for (size_t at = 0; at < rows_.size(); ++at) {
    rows_[at]->transfer.number = numbers[at];
    if (!rows_[at]->refusal) rows_[at]->outcome->number = numbers[at];
  }
  for (const auto& [outcome, of] : twins_) outcome->number = of->transfer.number;
}

// One batch. Results that leave nothing behind are returned as they are; what is refused is a row.
class Application {
 public:
  Application(Book& book, absl::Time now) : book_(book), now_(now) {
    ++book_.batch_;
    book_.rows_.clear();
    book_.twins_.clear();
    book_.touched_.clear();
  }

  void Run(const Call& call) {
    const std::span<const NewTransfer> transfers = call.transfers;
    for (size_t first = 0; first < transfers.size();) {
      size_t end = first;
      while (end < transfers.size() && transfers[end].linked) ++end;
      const bool open = end == transfers.size() && end > first;
      if (!open) ++end;
      if (open) {
        FailOpen(call, first);
      } else if (end - first == 1) {
        One(call, first);
      } else {
        Chain(call, first, end);
      }
      first = end;
    }
  }

  void Finish() {
    std::sort(book_.touched_.begin(), book_.touched_.end(),
              [](const BookAccount* a, const BookAccount* b) { return a->number < b->number; });
    for (BookAccount* account : book_.touched_) {
      if (!account->changed) continue;
      ++account->balance.version;
    }
  }

 private:
  // What a chain has to take back when one of it fails.
  struct Mark {
    size_t rows = 0;
    size_t undo = 0;
  };
  struct Undo {
    BookAccount* account = nullptr;
    Balance balance;
    absl::Time changed_at;
    bool changed = false;
    BookTransfer* pending = nullptr;  // or this: it is open again
  };

  void One(const Call& call, size_t at) {
    const NewTransfer& transfer = call.transfers[at];
    Outcome& outcome = call.outcomes[at];
    if (const std::optional<TransferResult> known = Known(call, transfer, outcome)) {
      outcome.result = *known;
      return;
    }
    outcome.result = Make(call, transfer, outcome);
    if (Row(outcome.result).of == ResultClass::kRefused && !call.expiry) Refuse(call, transfer, outcome);
    undo_.clear();
  }

  // All or none. A chain that was made before is told as it is; one of which only a part is there is not made.
  void Chain(const Call& call, size_t first, size_t end) {
    const Mark mark{book_.rows_.size(), undo_.size()};
    bool some_exist = false;
    for (size_t at = first; at < end; ++at) {
      const NewTransfer& transfer = call.transfers[at];
      Outcome& outcome = call.outcomes[at];
      if (IsRow(call, transfer, mark)) {
        TakeBack(mark);
        FailOthers(call, first, end, at, TransferResult::kLinkedIdRepeated);
        return;
      }
      if (const std::optional<TransferResult> known = Known(call, transfer, outcome)) {
        if (Done(*known) && (at == first || some_exist)) {
          some_exist = true;
          outcome.result = *known;
          continue;
        }
        TakeBack(mark);
        FailOthers(call, first, end, at, *known);
        return;
      }
      if (some_exist) {  // none of what is left is made
        FailOthers(call, first, end, at, TransferResult::kLinkedTransferFailed);
        return;
      }
      const TransferResult result = Make(call, transfer, outcome);
      outcome.result = result;
      if (Done(result)) continue;
      TakeBack(mark);
      if (Row(result).of == ResultClass::kRefused) Refuse(call, transfer, outcome);
      FailOthers(call, first, end, at, result);
      return;
    }
    undo_.clear();
  }

  // The one at `at` has this result. Of the others those that exist, or were refused before, say so; the rest failed
  // with it.
  void FailOthers(const Call& call, size_t first, size_t end, size_t at, TransferResult result) {
    for (size_t other = first; other < end; ++other) {
      Outcome& outcome = call.outcomes[other];
      if (other == at) {
        outcome.result = result;
        continue;
      }
      outcome = Outcome();
      std::optional<TransferResult> known;
      if (book_.FindTransfer(call.client, call.transfers[other].id) != nullptr) {
        known = Known(call, call.transfers[other], outcome);
      }
      outcome.result = known.value_or(TransferResult::kLinkedTransferFailed);
    }
  }

  void FailOpen(const Call& call, size_t first) {
    const size_t size = call.transfers.size();
    FailOthers(call, first, size, size - 1, TransferResult::kLinkedChainOpen);
  }

  bool IsRow(const Call& call, const NewTransfer& transfer, const Mark& mark) const {
    const BookTransfer* known = book_.FindTransfer(call.client, transfer.id);
    return known != nullptr && std::find(book_.rows_.begin() + static_cast<std::ptrdiff_t>(mark.rows),
                                         book_.rows_.end(), known) != book_.rows_.end();
  }

  // What the id is answered that is malformed, or that has a transfer or a refusal already.
  std::optional<TransferResult> Known(const Call& call, const NewTransfer& transfer, Outcome& outcome) {
    if (!call.expiry && !IsId(transfer.id)) return TransferResult::kIdMalformed;
    BookTransfer* known = book_.FindTransfer(call.client, transfer.id);
    if (known == nullptr) return std::nullopt;
    if (known->refusal) return *known->refusal;
    TransferResult result = CompareTransfer(transfer, known->transfer);
    if (result != TransferResult::kExists) return result;
    outcome.amount_minor = known->transfer.amount_minor;
    outcome.number = known->transfer.number;
    outcome.created_at = known->transfer.created_at;
    if (known->outcome != nullptr) {
      book_.twins_.emplace_back(&outcome, known);  // made by this batch: its number comes later
    } else if (known->write == call.write && !known->own) {
      // By this very call, whose answer was lost. Its first one of the id made it.
      known->own = true;
      result = TransferResult::kCreated;
    }
    return result;
  }

  BookAccount* Touch(BookAccount* account) {
    if (account != nullptr && account->batch != book_.batch_) {
      account->batch = book_.batch_;
      account->changed = false;
      book_.touched_.push_back(account);
      if (account->parent != nullptr) Touch(account->parent);
    }
    return account;
  }

  static bool Closed(const BookAccount& account) {
    return account.flags.closed || (account.parent != nullptr && account.parent->flags.closed);
  }

  // The transfer's effect and its row, or why not.
  TransferResult Make(const Call& call, const NewTransfer& transfer, Outcome& outcome) {
    if (!call.expiry) {
      if (const TransferResult fault = CheckTransfer(transfer); fault != TransferResult::kCreated) return fault;
    }
    const bool ends = Ends(transfer.phase);
    BookTransfer* pending = ends ? book_.FindTransfer(call.client, transfer.pending_id) : nullptr;
    if (pending != nullptr && pending->refusal) pending = nullptr;
    if (ends && pending == nullptr) return TransferResult::kPendingTransferNotFound;
    if (ends && pending->transfer.phase != Phase::kPending) return TransferResult::kPendingTransferNotPending;
    const NewTransfer& moves = ends ? static_cast<const NewTransfer&>(pending->transfer) : transfer;
    BookAccount* debit = Touch(book_.FindAccount(call.client, moves.debit_account));
    BookAccount* credit = Touch(book_.FindAccount(call.client, moves.credit_account));
    if (debit == nullptr) return TransferResult::kDebitAccountNotFound;
    if (credit == nullptr) return TransferResult::kCreditAccountNotFound;
    int64_t amount = transfer.amount_minor;
    if (ends) {
      if (const TransferResult fault = CheckEnd(transfer, *pending); fault != TransferResult::kCreated) return fault;
      if (transfer.phase != Phase::kPost) {
        amount = 0;
      } else if (amount == 0) {
        amount = pending->transfer.amount_minor;
      }
    } else {
      if (debit->currency != transfer.currency) return TransferResult::kDebitAccountHasDifferentCurrency;
      if (credit->currency != transfer.currency) return TransferResult::kCreditAccountHasDifferentCurrency;
    }
    if (!transfer.corrects.empty()) {
      const BookTransfer* corrected = book_.FindTransfer(call.client, transfer.corrects);
      if (corrected == nullptr || corrected->refusal) return TransferResult::kCorrectedTransferNotFound;
      const Phase phase = corrected->transfer.phase;
      if (phase != Phase::kSingle && phase != Phase::kPost) return TransferResult::kCorrectedTransferNotPosted;
      if (corrected->transfer.currency != moves.currency) {
        return TransferResult::kCorrectedTransferHasDifferentCurrency;
      }
    }
    const bool frees_only = transfer.phase == Phase::kVoid || transfer.phase == Phase::kExpired;
    if (!frees_only && Closed(*debit)) return TransferResult::kDebitAccountClosed;
    if (!frees_only && Closed(*credit)) return TransferResult::kCreditAccountClosed;
    if (transfer.balancing_debit) {
      amount = AtMost(amount, Available(debit->balance));
    }
    if (transfer.balancing_credit) {
      const Balance& has = credit->balance;
      amount = transfer.balancing_debit && amount == 0
                   ? 0
                   : AtMost(amount, has.debits_posted - (has.credits_posted + has.credits_pending));
    }

    const size_t before = undo_.size();
    const int64_t released = ends ? pending->transfer.amount_minor : 0;
    const int64_t posted = transfer.phase == Phase::kSingle || transfer.phase == Phase::kPost ? amount : 0;
    const int64_t held = transfer.phase == Phase::kPending ? amount : -released;
    // Along an account time does not run back, though clocks may.
    absl::Time made_at = now_;
    for (const BookAccount* account : {debit, debit->parent, credit, credit->parent}) {
      if (account != nullptr) made_at = std::max(made_at, account->changed_at);
    }
    bool overflows = false;
    for (BookAccount* account : {debit, debit->parent}) {
      if (account == nullptr) continue;
      Keep(account);
      overflows |= !Add(account->balance.debits_posted, posted) || !Add(account->balance.debits_pending, held) ||
                   Overflows(account->balance.debits_posted, account->balance.debits_pending);
    }
    if (overflows) return GiveUp(before, TransferResult::kOverflowsDebits);
    for (BookAccount* account : {credit, credit->parent}) {
      if (account == nullptr) continue;
      Keep(account);
      overflows |= !Add(account->balance.credits_posted, posted) || !Add(account->balance.credits_pending, held) ||
                   Overflows(account->balance.credits_posted, account->balance.credits_pending);
    }
    if (overflows) return GiveUp(before, TransferResult::kOverflowsCredits);
    for (BookAccount* account : {debit, debit->parent, credit, credit->parent}) {
      if (account == nullptr) continue;
      const Balance& has = account->balance;
      if (account->flags.debits_must_not_exceed_credits &&
          has.debits_posted + has.debits_pending > has.credits_posted) {
        return GiveUp(before, TransferResult::kExceedsCredits);
      }
      if (account->flags.credits_must_not_exceed_debits &&
          has.credits_posted + has.credits_pending > has.debits_posted) {
        return GiveUp(before, TransferResult::kExceedsDebits);
      }
    }
    if (ends) {
      pending->resolution = transfer.phase;
      undo_.push_back({nullptr, {}, {}, false, pending});
    }

    BookTransfer row;
    static_cast<NewTransfer&>(row.transfer) = transfer;
    if (ends) {
      row.transfer.debit_account = moves.debit_account;
      row.transfer.credit_account = moves.credit_account;
      row.transfer.currency = moves.currency;
      row.transfer.code = transfer.code == 0 ? moves.code : transfer.code;
    }
    row.transfer.client = call.client;
    row.transfer.amount_minor = amount;
    row.transfer.requested_minor = transfer.amount_minor;
    row.transfer.released_minor = released;
    row.transfer.created_at = made_at;
    for (BookAccount* account : {debit, debit->parent, credit, credit->parent}) {
      if (account != nullptr) account->changed_at = made_at;
    }
    row.debit = debit;
    row.credit = credit;
    AddRow(call, std::move(row), outcome);
    outcome.amount_minor = amount;
    outcome.created_at = made_at;
    return TransferResult::kCreated;
  }

  TransferResult CheckEnd(const NewTransfer& transfer, const BookTransfer& pending) const {
    const Transfer& held = pending.transfer;
    if (!transfer.debit_account.empty() && transfer.debit_account != held.debit_account) {
      return TransferResult::kPendingTransferHasDifferentDebitAccount;
    }
    if (!transfer.credit_account.empty() && transfer.credit_account != held.credit_account) {
      return TransferResult::kPendingTransferHasDifferentCreditAccount;
    }
    if (!transfer.currency.empty() && transfer.currency != held.currency) {
      return TransferResult::kPendingTransferHasDifferentCurrency;
    }
    if (transfer.code != 0 && transfer.code != held.code) return TransferResult::kPendingTransferHasDifferentCode;
    if (transfer.amount_minor > held.amount_minor) return TransferResult::kExceedsPendingTransferAmount;
    if (transfer.phase == Phase::kVoid && transfer.amount_minor != 0 && transfer.amount_minor != held.amount_minor) {
      return TransferResult::kPendingTransferHasDifferentAmount;
    }
    if (pending.resolution == Phase::kPost) return TransferResult::kPendingTransferAlreadyPosted;
    if (pending.resolution == Phase::kVoid) return TransferResult::kPendingTransferAlreadyVoided;
    if (pending.resolution == Phase::kExpired) return TransferResult::kPendingTransferExpired;
    const bool over = ExpiresAt(held) <= now_;
    if (transfer.phase == Phase::kExpired) {
      return over ? TransferResult::kCreated : TransferResult::kPendingTransferNotPending;
    }
    return over ? TransferResult::kPendingTransferExpired : TransferResult::kCreated;
  }

  // What there is, or less if less is asked for; 0: all.
  static int64_t AtMost(int64_t asked, int64_t there_is) {
    const int64_t left = std::max<int64_t>(there_is, 0);
    return asked == 0 ? left : std::min(asked, left);
  }

  static bool Add(int64_t& to, int64_t amount) { return !__builtin_add_overflow(to, amount, &to); }
  static bool Overflows(int64_t posted, int64_t pending) {
    int64_t sum = 0;
    return __builtin_add_overflow(posted, pending, &sum);
  }

  void Keep(BookAccount* account) {
    undo_.push_back({account, account->balance, account->changed_at, account->changed, nullptr});
    account->changed = true;
  }

  void UndoTo(size_t size) {
    while (undo_.size() > size) {
      const Undo& last = undo_.back();
      if (last.account != nullptr) {
        last.account->balance = last.balance;
        last.account->changed_at = last.changed_at;
        last.account->changed = last.changed;
      } else {
        last.pending->resolution.reset();
      }
      undo_.pop_back();
    }
  }

  TransferResult GiveUp(size_t undo, TransferResult why) {
    UndoTo(undo);
    return why;
  }

  void TakeBack(const Mark& mark) {
    UndoTo(mark.undo);
    while (book_.rows_.size() > mark.rows) {
      const BookTransfer& row = *book_.rows_.back();
      book_.transfers_.erase(Book::Key{row.transfer.client, row.transfer.id});
      book_.rows_.pop_back();
    }
  }

  void Refuse(const Call& call, const NewTransfer& transfer, Outcome& outcome) {
    BookTransfer row;
    row.transfer.client = call.client;
    row.transfer.id = transfer.id;
    row.transfer.created_at = now_;
    row.refusal = outcome.result;
    AddRow(call, std::move(row), outcome);
  }

  void AddRow(const Call& call, BookTransfer row, Outcome& outcome) {
    row.write = call.write;
    row.outcome = &outcome;
    book_.rows_.push_back(&book_.PutTransfer(std::move(row)));
  }

  Book& book_;
  const absl::Time now_;
  std::vector<Undo> undo_;
};

void Apply(Book& book, std::span<const Call> calls, absl::Time now) {
  Application application(book, now);
  for (const Call& call : calls) application.Run(call);
  application.Finish();
}

std::string ExpiryId(std::string_view pending_id) { return fmt::format("expired/{}", pending_id); }

}  // namespace waybill::ledger
