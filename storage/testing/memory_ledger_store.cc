#include "storage/testing/memory_ledger_store.h"

#include <algorithm>
#include <array>

#include "absl/strings/escaping.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "storage/ledger_chain.h"

namespace waybill::storage::testing {

using ledger::BookTransfer;
using ledger::Phase;

void MemoryLedgerStore::set_error(absl::Status error) {
  std::lock_guard lock(mutex_);
  error_ = std::move(error);
}

absl::Status MemoryLedgerStore::Ping() {
  std::lock_guard lock(mutex_);
  return error_;
}

const MemoryLedgerStore::Kept* MemoryLedgerStore::Find(const std::string& client, const std::string& account) const {
  const auto it = accounts_.find({client, account});
  return it == accounts_.end() ? nullptr : &it->second;
}

ledger::Account MemoryLedgerStore::Now(const Kept& kept) const {
  ledger::Account account = kept.account;
  account.balance = kept.book->balance;
  account.flags = kept.book->flags;
  return account;
}

absl::StatusOr<std::vector<ledger::AccountResult>> MemoryLedgerStore::CreateAccounts(
    const std::string& client, const std::vector<ledger::NewAccount>& accounts) {
  using ledger::AccountResult;
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  if (accounts.size() > ledger::kBatchMax)
    return domain::BadField("accounts", fmt::format("at most {}", ledger::kBatchMax));
  std::vector<AccountResult> results;
  for (const ledger::NewAccount& account : accounts) {
    AccountResult& result = results.emplace_back(ledger::CheckAccount(account));
    if (result != AccountResult::kCreated) continue;
    if (const Kept* existing = Find(client, account.id); existing != nullptr) {
      result = ledger::CompareAccount(account, Now(*existing));
      continue;
    }
    const Kept* parent = account.parent.empty() ? nullptr : Find(client, account.parent);
    if (!account.parent.empty()) {
      const ledger::Account of = parent == nullptr ? ledger::Account() : Now(*parent);
      result = ledger::CheckParent(account, parent == nullptr ? nullptr : &of);
      if (result != AccountResult::kCreated) continue;
    }
    ledger::BookAccount book;
    book.client = client;
    book.id = account.id;
    book.number = static_cast<int64_t>(accounts_.size()) + 1;
    book.currency = account.currency;
    book.flags = account.flags;
    book.parent = parent == nullptr ? nullptr : parent->book;
    Kept kept;
    static_cast<ledger::NewAccount&>(kept.account) = account;
    kept.account.client = client;
    kept.account.created_at = clock_.Now();
    book.changed_at = kept.account.created_at;
    kept.book = &book_.PutAccount(std::move(book));
    accounts_.emplace(Key{client, account.id}, std::move(kept));
  }
  return results;
}

absl::Status MemoryLedgerStore::SetClosed(const std::string& client, const std::string& account, bool closed) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  const auto it = accounts_.find({client, account});
  if (it == accounts_.end()) return AccountNotFound(account);
  ledger::BookAccount& book = *it->second.book;
  if (book.flags.closed == closed) return absl::OkStatus();
  book.flags.closed = closed;
  ++book.balance.version;
  book.changed_at = std::max(book.changed_at, clock_.Now());
  if (book.flags.history) it->second.history.push_back({book.changed_at, book.balance});
  return absl::OkStatus();
}

std::vector<ledger::Outcome> MemoryLedgerStore::Apply(const std::string& client,
                                                      std::span<const ledger::NewTransfer> transfers, bool expiry,
                                                      std::vector<BalanceChange>& changes) {
  std::vector<ledger::Outcome> outcomes(transfers.size());
  book_.ForgetTransfers();
  for (const ledger::NewTransfer& transfer : transfers) {
    for (const std::string& id : {transfer.id, transfer.pending_id, transfer.corrects}) {
      if (const auto known = by_id_.find({client, id}); known != by_id_.end()) book_.PutTransfer(*known->second);
    }
  }
  const ledger::Call call{client, ++writes_, transfers, outcomes, expiry};
  ledger::Apply(book_, {&call, 1}, clock_.Now());
  std::vector<int64_t> numbers;
  for (size_t n = 0; n < book_.rows().size(); ++n) numbers.push_back(++numbers_);
  book_.NumberRows(numbers);
  for (const BookTransfer* row : book_.rows()) {
    BookTransfer& kept = rows_.emplace_back(*row);
    kept.outcome = nullptr;
    kept.resolution.reset();
    by_id_[{client, kept.transfer.id}] = &kept;
    if (kept.transfer.pending_id.empty() || kept.refusal) continue;
    ends_[{client, kept.transfer.pending_id}] = &kept;
  }
  for (const BookTransfer* row : book_.rows()) {
    if (row->refusal || row->transfer.pending_id.empty()) continue;
    by_id_.at({client, row->transfer.pending_id})->resolution = row->transfer.phase;
  }
  for (const ledger::BookAccount* account : book_.touched()) {
    if (!account->changed) continue;
    changes.push_back({account->client, account->id, account->balance, account->changed_at});
    if (account->flags.history) {
      accounts_.at({account->client, account->id}).history.push_back({account->changed_at, account->balance});
    }
  }
  return outcomes;
}

void MemoryLedgerStore::Post(const std::string& client, std::vector<ledger::NewTransfer> transfers, Posted posted) {
  absl::StatusOr<std::vector<ledger::Outcome>> answer;
  std::vector<BalanceChange> changes;
  {
    std::lock_guard lock(mutex_);
    if (!error_.ok()) {
      answer = error_;
    } else if (transfers.size() > ledger::kBatchMax) {
      answer = domain::BadField("transfers", fmt::format("at most {}", ledger::kBatchMax));
    } else {
      answer = Apply(client, transfers, false, changes);
      if (!changes.empty()) on_changes(changes);
    }
  }
  posted(std::move(answer));
}

absl::StatusOr<int> MemoryLedgerStore::ExpireDue(int limit) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  std::vector<std::pair<std::string, ledger::NewTransfer>> due;
  for (const BookTransfer& row : rows_) {
    if (row.refusal || row.transfer.phase != Phase::kPending || row.resolution) continue;
    if (ExpiresAt(row.transfer) > clock_.Now() || static_cast<int>(due.size()) == limit) continue;
    ledger::NewTransfer expiry;
    expiry.id = ledger::ExpiryId(row.transfer.id);
    expiry.phase = Phase::kExpired;
    expiry.pending_id = row.transfer.id;
    due.emplace_back(row.transfer.client, std::move(expiry));
  }
  std::vector<BalanceChange> changes;
  for (const auto& [client, expiry] : due) Apply(client, {&expiry, 1}, true, changes);
  if (!changes.empty()) on_changes(changes);
  return static_cast<int>(due.size());
}

absl::StatusOr<ledger::Account> MemoryLedgerStore::GetAccount(const std::string& client, const std::string& account) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  const Kept* kept = Find(client, account);
  if (kept == nullptr) return AccountNotFound(account);
  return Now(*kept);
}

absl::StatusOr<std::vector<ledger::Account>> MemoryLedgerStore::GetAccounts(const std::string& client,
                                                                            const std::vector<std::string>& accounts) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  std::vector<ledger::Account> found;
  for (const auto& [key, kept] : accounts_) {
    if (key.first == client && std::count(accounts.begin(), accounts.end(), key.second) > 0) found.push_back(Now(kept));
  }
  return found;
}

absl::StatusOr<std::vector<ledger::Account>> MemoryLedgerStore::ListAccounts(const AccountQuery& query) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  std::vector<ledger::Account> found;
  for (const auto& [key, kept] : accounts_) {
    const ledger::Account account = Now(kept);
    const bool wanted =
        (!query.client || *query.client == account.client) && (query.owner.empty() || query.owner == account.owner) &&
        (query.currency.empty() || query.currency == account.currency) &&
        (query.kind.empty() || query.kind == account.kind) && (!query.code || *query.code == account.code) &&
        (query.parent.empty() || query.parent == account.parent) &&
        (!query.after || key > Key{query.after->client, query.after->id});
    if (wanted && static_cast<int>(found.size()) < query.limit) found.push_back(account);
  }
  return found;
}

TransferRecord MemoryLedgerStore::Record(const BookTransfer& row) const {
  TransferRecord record;
  static_cast<ledger::Transfer&>(record) = row.transfer;
  if (row.transfer.phase != Phase::kPending) return record;
  record.resolution = Resolution::kOpen;
  const auto end = ends_.find({row.transfer.client, row.transfer.id});
  if (end == ends_.end()) return record;
  record.resolved_by = end->second->transfer.id;
  const Phase by = end->second->transfer.phase;
  record.resolution = by == Phase::kPost   ? Resolution::kPosted
                      : by == Phase::kVoid ? Resolution::kVoided
                                           : Resolution::kExpired;
  return record;
}

absl::StatusOr<std::vector<TransferRecord>> MemoryLedgerStore::GetTransfers(const std::string& client,
                                                                            const std::vector<std::string>& transfers) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  std::vector<TransferRecord> found;
  for (const std::string& id : transfers) {
    const auto it = by_id_.find({client, id});
    if (it != by_id_.end() && !it->second->refusal) found.push_back(Record(*it->second));
  }
  return found;
}

absl::StatusOr<TransferRecord> MemoryLedgerStore::GetTransfer(const std::string& client, const std::string& transfer) {
  absl::StatusOr<std::vector<TransferRecord>> found = GetTransfers(client, {transfer});
  if (!found.ok()) return found.status();
  if (found->empty()) return TransferNotFound(transfer);
  return std::move(found->front());
}

absl::StatusOr<std::optional<ledger::TransferResult>> MemoryLedgerStore::GetRefusal(const std::string& client,
                                                                                    const std::string& transfer) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  const auto it = by_id_.find({client, transfer});
  return it == by_id_.end() ? std::nullopt : it->second->refusal;
}

absl::StatusOr<std::vector<TransferRecord>> MemoryLedgerStore::Statement(const StatementQuery& query) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  if (Find(query.client, query.account) == nullptr) return AccountNotFound(query.account);
  std::vector<TransferRecord> found;
  for (auto row = rows_.rbegin(); row != rows_.rend() && static_cast<int>(found.size()) < query.limit; ++row) {
    const ledger::Transfer& transfer = row->transfer;
    const bool debit = transfer.debit_account == query.account && query.side != StatementQuery::Side::kCredits;
    const bool credit = transfer.credit_account == query.account && query.side != StatementQuery::Side::kDebits;
    if (row->refusal || transfer.client != query.client || (!debit && !credit)) continue;
    if (transfer.created_at < query.from || transfer.created_at >= query.to) continue;
    if (query.before && transfer.number >= *query.before) continue;
    found.push_back(Record(*row));
  }
  return found;
}

absl::StatusOr<BalanceMoment> MemoryLedgerStore::BalanceAt(const std::string& client, const std::string& account,
                                                           absl::Time moment) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  const Kept* kept = Find(client, account);
  if (kept == nullptr) return AccountNotFound(account);
  if (!kept->account.flags.history) return HistoryNotKept(account);
  BalanceMoment found{kept->account.created_at, {}};
  for (const BalanceMoment& each : kept->history) {
    if (each.at <= moment) found = each;
  }
  found.settled = moment < clock_.Now();
  return found;
}

absl::StatusOr<std::vector<BalanceMoment>> MemoryLedgerStore::History(const HistoryQuery& query) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  const Kept* kept = Find(query.client, query.account);
  if (kept == nullptr) return AccountNotFound(query.account);
  if (!kept->account.flags.history) return HistoryNotKept(query.account);
  std::vector<BalanceMoment> found;
  for (auto each = kept->history.rbegin(); each != kept->history.rend(); ++each) {
    if (query.before && each->balance.version >= *query.before) continue;
    if (static_cast<int>(found.size()) < query.limit) found.push_back(*each);
  }
  return found;
}

absl::StatusOr<std::vector<TrialBalanceLine>> MemoryLedgerStore::TrialBalance(const Owner& client) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  std::map<std::array<std::string, 3>, TrialBalanceLine> lines;
  for (const auto& [key, kept] : accounts_) {
    const ledger::Account& account = kept.account;
    if (!account.parent.empty() || (client && *client != account.client)) continue;
    TrialBalanceLine& line = lines[{account.client, account.currency, account.kind}];
    line.client = account.client;
    line.currency = account.currency;
    line.kind = account.kind;
    ++line.accounts;
    const ledger::Balance& balance = kept.book->balance;
    bool fits = true;
    for (auto [sum, of] : {std::pair(&line.debits_posted, balance.debits_posted),
                           std::pair(&line.credits_posted, balance.credits_posted),
                           std::pair(&line.debits_pending, balance.debits_pending),
                           std::pair(&line.credits_pending, balance.credits_pending)}) {
      fits = fits && !__builtin_add_overflow(*sum, of, sum);
    }
    if (!fits) return domain::ReasonError("SUM_TOO_LARGE", "a sum is beyond 2^63 - 1");
  }
  std::vector<TrialBalanceLine> all;
  for (auto& [key, line] : lines) all.push_back(std::move(line));
  return all;
}

std::string MemoryLedgerStore::HashOf(int64_t from, int64_t to, const std::string& previous, int64_t& transfers) const {
  BatchHash hash(previous);
  for (const BookTransfer& row : rows_) {
    if (row.transfer.number <= from || row.transfer.number > to) continue;
    ++transfers;
    ChainRow chain;
    chain.number = row.transfer.number;
    chain.amount = row.transfer.amount_minor;
    chain.write = row.write;
    chain.client = row.transfer.client;
    chain.id = row.transfer.id;
    hash.Add(chain);
  }
  return hash.Finish();
}

absl::StatusOr<int64_t> MemoryLedgerStore::Seal(int64_t limit) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  const int64_t sealed = batches_.empty() ? 0 : batches_.back().last_transfer;
  const int64_t last = std::min(numbers_, sealed + limit);
  if (last == sealed) return 0;
  SealedBatch batch;
  batch.number = static_cast<int64_t>(batches_.size()) + 1;
  batch.first_transfer = sealed + 1;
  batch.last_transfer = last;
  batch.previous_hash = batches_.empty() ? std::string(2 * kBatchHashSize, '0') : batches_.back().hash;
  const std::string hash = HashOf(sealed, last, absl::HexStringToBytes(batch.previous_hash), batch.transfers);
  batch.hash = absl::BytesToHexString(hash);
  batch.sealed_at = clock_.Now();
  batches_.push_back(batch);
  return batch.transfers;
}

absl::StatusOr<std::vector<SealedBatch>> MemoryLedgerStore::Batches(int64_t after, int limit) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  std::vector<SealedBatch> found;
  for (const SealedBatch& batch : batches_) {
    if (batch.number > after && static_cast<int>(found.size()) < limit) found.push_back(batch);
  }
  return found;
}

absl::StatusOr<VerifyReport> MemoryLedgerStore::Verify(const std::function<bool(const VerifyProgress&)>& progress) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  VerifyReport report;
  report.accounts = static_cast<int64_t>(accounts_.size());
  report.transfers = numbers_;
  std::string previous(2 * kBatchHashSize, '0');
  for (const SealedBatch& batch : batches_) {
    int64_t transfers = 0;
    const std::string hash =
        HashOf(batch.first_transfer - 1, batch.last_transfer, absl::HexStringToBytes(previous), transfers);
    if (absl::BytesToHexString(hash) != batch.hash) {
      report.faults.push_back(fmt::format("the transfers of batch {} are not as sealed", batch.number));
    }
    previous = batch.hash;
    report.last_hash = batch.hash;
    ++report.batches;
    if (progress && !progress({"chain", batch.last_transfer, numbers_})) {
      return absl::CancelledError("the verification was ended");
    }
  }
  report.unsealed = numbers_ - (batches_.empty() ? 0 : batches_.back().last_transfer);
  if (progress && !progress({"currencies", 1, 1})) return absl::CancelledError("the verification was ended");
  return report;
}

}  // namespace waybill::storage::testing
