#include "storage/postgres/ledger_writer.h"

#include <algorithm>
#include <optional>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "storage/postgres/ledger_rows.h"
#include "storage/postgres/sqlstate.h"

namespace waybill::storage {
namespace {

using Prepared = Statement;  // the store has a method of that name

// Who has met another one at the same accounts writes carefully for some batches: one, and each time twice as many, up
// to so many; half as many for each that is written quickly then.
constexpr int kCarefulBatches = 64;
// Tried again for so long; then the callers are told that the store does not answer.
constexpr absl::Duration kGiveUpAfter = absl::Seconds(10);

// Parents first.
constexpr char kFindAccounts[] =
    "SELECT f.client, f.id, f.number, f.currency, f.debits_must_not_exceed_credits, f.credits_must_not_exceed_debits, "
    "f.history, f.closed, f.parent, f.debits_posted, f.credits_posted, f.debits_pending, f.credits_pending, f.version, "
    "f.changed_at "
    "FROM (SELECT a.* FROM unnest($1::text[], $2::text[]) AS w (client, id) "
    "JOIN ledger_accounts a ON a.client = w.client AND a.id = w.id "
    "UNION ALL SELECT p.* FROM unnest($1::text[], $2::text[]) AS w (client, id) "
    "JOIN ledger_accounts a ON a.client = w.client AND a.id = w.id JOIN ledger_accounts p ON p.number = a.parent) f "
    "ORDER BY f.parent NULLS FIRST";

// Whoever writes locks them in the same order.
constexpr char kLockAccounts[] =
    "SELECT number, debits_posted, credits_posted, debits_pending, credits_pending, version, changed_at, closed "
    "FROM ledger_accounts WHERE number = ANY($1::bigint[]) ORDER BY number FOR NO KEY UPDATE";

// The rows in their order (what is unnested is scanned as it stands): their numbers come back in it. `created_at`: the
// rows' one time, $9, or each one's own, in $21.
std::string InsertTransfersSql(bool one_time) {
  return fmt::format(
      "INSERT INTO ledger_transfers (debit_account, credit_account, amount, write, code, client, currency, id, "
      "created_at, phase, requested, released, timeout_seconds, linked, balancing_debit, balancing_credit, pending_id, "
      "corrects, user_data, refusal) "
      "SELECT i.debit_account, i.credit_account, i.amount, i.write, i.code, i.client, i.currency, i.id, {}, "
      "i.phase, i.requested, i.released, i.timeout_seconds, i.linked, i.balancing_debit, i.balancing_credit, "
      "i.pending_id, i.corrects, i.user_data, i.refusal "
      "FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::text[], $7::text[], "
      "$8::text[], $10::text[], $11::bigint[], $12::bigint[], $13::integer[], $14::boolean[], $15::boolean[], "
      "$16::boolean[], $17::text[], $18::text[], $19::text[], $20::text[]{}) "
      "AS i (debit_account, credit_account, amount, write, code, client, currency, id, phase, requested, released, "
      "timeout_seconds, linked, balancing_debit, balancing_credit, pending_id, corrects, user_data, refusal{}) "
      "RETURNING number",
      one_time ? "$9::timestamptz" : "COALESCE(i.created_at, $9::timestamptz)", one_time ? "" : ", $21::timestamptz[]",
      one_time ? "" : ", created_at");
}

// The same for rows that say no more than that: most do not, and each column costs.
constexpr char kInsertPlainTransfers[] =
    "INSERT INTO ledger_transfers (debit_account, credit_account, amount, write, code, client, currency, id, "
    "created_at, phase) "
    "SELECT i.debit_account, i.credit_account, i.amount, i.write, i.code, i.client, i.currency, i.id, $9::timestamptz, "
    "'single' "
    "FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::text[], $7::text[], "
    "$8::text[]) AS i (debit_account, credit_account, amount, write, code, client, currency, id) RETURNING number";

// Division by zero: an account has changed that the batch was applied to. Of those that it has changed itself
// ledger_post tells the sum of the versions; the others are looked at.
constexpr char kProveVersions[] =
    "SELECT 1 / (count(*) = $3::bigint AND current_setting('waybill.ledger_versions') = $4::text)::integer "
    "FROM unnest($1::bigint[], $2::bigint[]) AS t (number, version) "
    "JOIN ledger_accounts a ON a.number = t.number AND a.version = t.version";

std::string FindTransfersSql() {
  return fmt::format(
      "SELECT {}, t.write, COALESCE(t.refusal, '') FROM unnest($1::text[], $2::text[]) AS w (client, id) "
      "JOIN ledger_transfers t ON t.client = w.client AND t.id = w.id{}",
      kTransferColumns, kTransferJoins);
}

void AddTextOrNull(ArrayParam& column, std::string_view text) {
  if (text.empty()) {
    column.AddNull();
  } else {
    column.AddText(text);
  }
}

bool Is(const absl::Status& status, std::string_view reason) { return GetErrorDetail(status).reason == reason; }

}  // namespace

PostgresLedgerStore::Writer::Writer(std::string url, const Clock& clock, const LedgerStoreOptions& options)
    : url_(std::move(url)), clock_(clock), options_(options) {}

absl::Status PostgresLedgerStore::Writer::Connect() {
  if (!connection_) {
    ConnectionOptions options;
    options.application_name = "waybill-ledger";
    options.commits = true;
    options.statement_timeout = options_.statement_timeout;
    options.connect_timeout = options_.connect_timeout;
    // Statements are planned once, perhaps while the tables are empty. A process that stands still between two
    // statements shall not keep the accounts locked.
    options.settings = {{"plan_cache_mode", "force_generic_plan"},
                        {"enable_seqscan", "off"},
                        {"enable_hashjoin", "off"},
                        {"enable_mergejoin", "off"},
                        {"jit", "off"},
                        {"idle_in_transaction_session_timeout", "5s"}};
    absl::StatusOr<std::unique_ptr<Connection>> opened = Connection::Open(url_, options);
    if (!opened.ok()) return opened.status();
    connection_ = *std::move(opened);
  }
  if (connection_->Broken()) book_.ForgetAccounts();
  if (absl::Status connected = connection_->EnsureConnected(); !connected.ok()) return connected;
  const std::pair<const char*, std::string> statements[] = {
      {"ledger_begin", "BEGIN"},
      {"ledger_commit", "COMMIT"},
      {"ledger_find_accounts", kFindAccounts},
      {"ledger_lock_accounts", kLockAccounts},
      {"ledger_find_transfers", FindTransfersSql()},
      {"ledger_insert", InsertTransfersSql(true)},
      {"ledger_insert_timed", InsertTransfersSql(false)},
      {"ledger_insert_plain", kInsertPlainTransfers},
      {"ledger_prove", kProveVersions},
  };
  for (const auto& [name, sql] : statements) {
    if (absl::Status prepared = connection_->Prepare(name, sql); !prepared.ok()) return prepared;
  }
  return absl::OkStatus();
}

BatchResult PostgresLedgerStore::Writer::Write(std::span<Posting> batch) {
  const SteadyTime started = clock_.Steady();
  failed_ = absl::OkStatus();
  bool careful = careful_left_ > 0;
  absl::Status status = Connect();
  if (status.ok() && !careful) {
    status = WriteQuickly(batch);
    if (!status.ok()) book_.ForgetAccounts();
    // Something of it was there, or an account has changed, or was closed: the careful way finds out.
    if (Is(status, "STORE_REFUSED")) {
      careful = true;
      if (IsDivisionByZero(status)) {
        careful_left_ = careful_next_;
        careful_next_ = std::min(2 * careful_next_, kCarefulBatches);
      }
    } else if (absl::IsFailedPrecondition(status)) {
      careful = true;
    }
  }
  // A write that another one of the same ids overtook, or that has to lock what it has only found now.
  constexpr int kTries = 3;
  for (int n = 0; careful && n < kTries; ++n) {
    status = WriteCarefully(batch);
    if (status.ok()) break;
    book_.ForgetAccounts();
    if (!connection_->Broken()) (void)connection_->ExecuteScript("ROLLBACK");
    if (!IsUniqueViolation(status) && !absl::IsFailedPrecondition(status)) break;
  }
  if (status.ok()) {
    failing_ = false;
    if (careful) {
      careful_left_ = std::max(careful_left_ - 1, 0);
    } else {
      careful_next_ = std::max(careful_next_ / 2, 1);
    }
    options_.on_commit(book_.rows().size(), clock_.Steady() - started, careful);
    return BatchResult::kWritten;
  }
  last_error_ = status;
  options_.on_error(status);
  if (Is(status, "UNREADABLE_ROW")) return BatchResult::kBadData;
  if (!IsUniqueViolation(status) && ToBatchResult(status) == BatchResult::kBadData) return BatchResult::kBadData;
  if (!std::exchange(failing_, true)) failing_since_ = started;
  if (clock_.Steady() - failing_since_ < kGiveUpAfter) return BatchResult::kTryAgain;
  failed_ = status;
  return BatchResult::kWritten;
}

void PostgresLedgerStore::Writer::Complete(Posting& posting, const absl::Status& status) {
  if (!status.ok()) {
    posting.posted(Is(status, "") && absl::IsUnavailable(status)
                       ? domain::ReasonError("SHUTTING_DOWN", "the ledger's store went away while it stopped")
                       : status);
  } else if (!failed_.ok()) {
    posting.posted(failed_);
  } else {
    posting.posted(std::move(posting.outcomes));
  }
}

PostgresLedgerStore::Writer::Keys PostgresLedgerStore::Writer::TransfersOf(std::span<const Posting> batch, bool ids) {
  Keys keys;
  for (const Posting& posting : batch) {
    for (const ledger::NewTransfer& transfer : posting.transfers) {
      if (ids && (posting.expiry || ledger::IsId(transfer.id))) keys.emplace(posting.client, transfer.id);
      if (ledger::IsId(transfer.pending_id)) keys.emplace(posting.client, transfer.pending_id);
      if (ledger::IsId(transfer.corrects)) keys.emplace(posting.client, transfer.corrects);
    }
  }
  return keys;
}

PostgresLedgerStore::Writer::Keys PostgresLedgerStore::Writer::AccountsOf(std::span<const Posting> batch) {
  Keys keys;
  for (const Posting& posting : batch) {
    for (const ledger::NewTransfer& transfer : posting.transfers) {
      const ledger::BookTransfer* pending =
          transfer.pending_id.empty() ? nullptr : book_.FindTransfer(posting.client, transfer.pending_id);
      const ledger::NewTransfer& moves = pending != nullptr && !pending->refusal
                                             ? static_cast<const ledger::NewTransfer&>(pending->transfer)
                                             : transfer;
      if (ledger::IsId(moves.debit_account)) keys.emplace(posting.client, moves.debit_account);
      if (ledger::IsId(moves.credit_account)) keys.emplace(posting.client, moves.credit_account);
    }
  }
  return keys;
}

absl::Status PostgresLedgerStore::Writer::LoadAccounts(const Keys& wanted) {
  keys_client_.Clear();
  keys_id_.Clear();
  for (const auto& [client, id] : wanted) {
    if (book_.FindAccount(client, id) != nullptr) continue;
    keys_client_.AddText(client);
    keys_id_.AddText(id);
  }
  if (keys_id_.size() == 0) return absl::OkStatus();
  const std::vector<Param> params = {keys_client_, keys_id_};
  absl::StatusOr<Rows> rows = connection_->ExecutePrepared("ledger_find_accounts", params);
  if (!rows.ok()) return rows.status();
  absl::flat_hash_map<int64_t, ledger::BookAccount*> roots;
  for (int row = 0; row < rows->size(); ++row) {
    ledger::BookAccount account;
    account.client = rows->Text(row, 0);
    account.id = rows->Text(row, 1);
    account.number = rows->Int(row, 2);
    account.currency = rows->Text(row, 3);
    account.flags.debits_must_not_exceed_credits = rows->Bool(row, 4);
    account.flags.credits_must_not_exceed_debits = rows->Bool(row, 5);
    account.flags.history = rows->Bool(row, 6);
    account.flags.closed = rows->Bool(row, 7);
    const bool root = rows->IsNull(row, 8);
    if (!root) account.parent = roots.at(rows->Int(row, 8));
    account.balance = {rows->Int(row, 9), rows->Int(row, 10), rows->Int(row, 11), rows->Int(row, 12),
                       rows->Int(row, 13)};
    account.changed_at = rows->Time(row, 14);
    ledger::BookAccount& put = book_.PutAccount(std::move(account));
    if (root) roots[put.number] = &put;
  }
  return absl::OkStatus();
}

absl::Status PostgresLedgerStore::Writer::LoadTransfers(const Keys& wanted) {
  if (wanted.empty()) return absl::OkStatus();
  keys_client_.Clear();
  keys_id_.Clear();
  for (const auto& [client, id] : wanted) {
    keys_client_.AddText(client);
    keys_id_.AddText(id);
  }
  const std::vector<Param> params = {keys_client_, keys_id_};
  absl::StatusOr<Rows> rows = connection_->ExecutePrepared("ledger_find_transfers", params);
  if (!rows.ok()) return rows.status();
  return DecodeTransfers(*rows);
}

absl::Status PostgresLedgerStore::Writer::DecodeTransfers(const Rows& rows) {
  constexpr int kWrite = 21, kRefusal = 22;
  for (int row = 0; row < rows.size(); ++row) {
    ledger::BookTransfer known;
    known.write = rows.Int(row, kWrite);
    if (!rows.Text(row, kRefusal).empty()) {
      known.refusal = ledger::ParseTransferResult(rows.Text(row, kRefusal));
      if (!known.refusal) {
        return domain::ReasonError("UNREADABLE_ROW", fmt::format("refusal is {}", rows.Text(row, kRefusal)));
      }
      known.transfer.client = rows.Text(row, 1);
      known.transfer.id = rows.Text(row, 2);
    } else {
      absl::StatusOr<TransferRecord> transfer = DecodeTransfer(rows, row);
      if (!transfer.ok()) return transfer.status();
      if (transfer->resolution == Resolution::kPosted) known.resolution = ledger::Phase::kPost;
      if (transfer->resolution == Resolution::kVoided) known.resolution = ledger::Phase::kVoid;
      if (transfer->resolution == Resolution::kExpired) known.resolution = ledger::Phase::kExpired;
      known.transfer = std::move(*transfer);
    }
    book_.PutTransfer(std::move(known));
  }
  return absl::OkStatus();
}

void PostgresLedgerStore::Writer::Apply(std::span<Posting> batch) {
  std::vector<ledger::Call> calls;
  calls.reserve(batch.size());
  for (Posting& posting : batch) {
    posting.outcomes.assign(posting.transfers.size(), {});
    calls.push_back({posting.client, posting.write, posting.transfers, posting.outcomes, posting.expiry});
  }
  ledger::Apply(book_, calls, absl::FromUnixMicros(absl::ToUnixMicros(clock_.Now())));
}

// FAILED_PRECONDITION: this takes the careful way.
absl::Status PostgresLedgerStore::Writer::WriteQuickly(std::span<Posting> batch) {
  if (book_.accounts() > options_.accounts_max) book_.ForgetAccounts();
  book_.ForgetTransfers();
  if (absl::Status loaded = LoadTransfers(TransfersOf(batch, false)); !loaded.ok()) return loaded;
  if (absl::Status loaded = LoadAccounts(AccountsOf(batch)); !loaded.ok()) return loaded;
  if (absl::Status gap = options_.in_gap(LedgerGap::kAfterRead); !gap.ok()) return gap;
  Apply(batch);
  size_t asked = 0;
  for (const Posting& posting : batch) asked += posting.transfers.size();
  // What has no row has a result that only counts when its id is not known yet.
  if (book_.rows().size() < asked) return absl::FailedPreconditionError("results depend on what is there");
  FillInsert();
  numbers_.Clear();
  versions_.Clear();
  int64_t sum = 0;
  for (const ledger::BookAccount* account : book_.touched()) {
    if (account->changed) {
      sum += account->balance.version;
    } else {
      numbers_.AddInt(account->number);
      versions_.AddInt(account->balance.version);
    }
  }
  const std::string changed = fmt::format("{}", sum);
  const std::vector<Param> insert = InsertParams();
  const std::vector<Param> prove = {numbers_, versions_, Param::Int8(static_cast<int64_t>(numbers_.size())),
                                    Param::Text(changed)};
  const Prepared statements[] = {{InsertStatement(), insert}, {"ledger_prove", prove}};
  absl::StatusOr<std::vector<Rows>> results = connection_->Pipeline(statements);
  if (!results.ok()) return results.status();
  if (absl::Status gap = options_.in_gap(LedgerGap::kAfterCommit); !gap.ok()) return gap;
  Committed(results->front());
  return absl::OkStatus();
}

// FAILED_PRECONDITION: a pending transfer appeared meanwhile, whose accounts are not locked; the same again.
absl::Status PostgresLedgerStore::Writer::WriteCarefully(std::span<Posting> batch) {
  book_.ForgetTransfers();
  if (absl::Status loaded = LoadTransfers(TransfersOf(batch, false)); !loaded.ok()) return loaded;
  const Keys named = AccountsOf(batch);
  if (absl::Status loaded = LoadAccounts(named); !loaded.ok()) return loaded;
  if (absl::Status gap = options_.in_gap(LedgerGap::kAfterRead); !gap.ok()) return gap;

  absl::flat_hash_map<int64_t, ledger::BookAccount*> locked;
  for (const auto& [client, id] : named) {
    ledger::BookAccount* account = book_.FindAccount(client, id);
    for (; account != nullptr; account = account->parent) locked[account->number] = account;
  }
  numbers_.Clear();
  for (const auto& [number, account] : locked) numbers_.AddInt(number);
  const Keys ids = TransfersOf(batch, true);
  keys_client_.Clear();
  keys_id_.Clear();
  for (const auto& [client, id] : ids) {
    keys_client_.AddText(client);
    keys_id_.AddText(id);
  }
  const std::vector<Param> lock = {numbers_};
  const std::vector<Param> find = {keys_client_, keys_id_};
  // What is found is read when all is locked.
  const Prepared reads[] = {{"ledger_begin", {}}, {"ledger_lock_accounts", lock}, {"ledger_find_transfers", find}};
  absl::StatusOr<std::vector<Rows>> read = connection_->Pipeline(reads);
  if (!read.ok()) return read.status();
  book_.ForgetTransfers();
  if (absl::Status decoded = ReadLocked((*read)[1], locked); !decoded.ok()) return decoded;
  if (absl::Status decoded = DecodeTransfers((*read)[2]); !decoded.ok()) return decoded;
  for (const auto& [client, id] : AccountsOf(batch)) {
    const ledger::BookAccount* account = book_.FindAccount(client, id);
    if (account != nullptr && !locked.contains(account->number)) {
      return absl::FailedPreconditionError("an account is not locked");
    }
  }
  if (absl::Status gap = options_.in_gap(LedgerGap::kAfterLock); !gap.ok()) return gap;
  Apply(batch);
  if (book_.rows().empty()) {
    if (absl::Status ended = connection_->ExecuteScript("ROLLBACK"); !ended.ok()) return ended;
    book_.NumberRows({});
    return absl::OkStatus();
  }
  FillInsert();
  const std::vector<Param> insert = InsertParams();
  const Prepared writes[] = {{InsertStatement(), insert}, {"ledger_commit", {}}};
  absl::StatusOr<std::vector<Rows>> results = connection_->Pipeline(writes);
  if (!results.ok()) return results.status();
  if (absl::Status gap = options_.in_gap(LedgerGap::kAfterCommit); !gap.ok()) return gap;
  Committed(results->front());
  return absl::OkStatus();
}

absl::Status PostgresLedgerStore::Writer::ReadLocked(const Rows& rows,
                                                     const absl::flat_hash_map<int64_t, ledger::BookAccount*>& locked) {
  for (int row = 0; row < rows.size(); ++row) {
    ledger::BookAccount& account = *locked.at(rows.Int(row, 0));
    account.balance = {rows.Int(row, 1), rows.Int(row, 2), rows.Int(row, 3), rows.Int(row, 4), rows.Int(row, 5)};
    account.changed_at = rows.Time(row, 6);
    account.flags.closed = rows.Bool(row, 7);
  }
  return absl::OkStatus();
}

void PostgresLedgerStore::Writer::FillInsert() {
  for (ArrayParam* column :
       {&debit_,   &credit_,     &amount_,          &requested_,        &released_, &write_,     &code_,
        &timeout_, &linked_,     &balancing_debit_, &balancing_credit_, &phase_,    &currency_,  &client_,
        &id_,      &pending_id_, &corrects_,        &user_data_,        &refusal_,  &created_at_}) {
    column->Clear();
  }
  // All of a batch are of one time, unless an account is ahead of our clock.
  made_at_ = book_.rows().empty() ? absl::UnixEpoch() : book_.rows().front()->transfer.created_at;
  one_time_ = std::all_of(book_.rows().begin(), book_.rows().end(),
                          [this](const ledger::BookTransfer* row) { return row->transfer.created_at == made_at_; });
  plain_ = one_time_ && std::all_of(book_.rows().begin(), book_.rows().end(), [](const ledger::BookTransfer* row) {
             const ledger::Transfer& transfer = row->transfer;
             return !row->refusal && transfer.phase == ledger::Phase::kSingle && !transfer.linked &&
                    !transfer.balancing_debit && !transfer.balancing_credit && transfer.corrects.empty() &&
                    transfer.user_data.empty();
           });
  for (const ledger::BookTransfer* row : book_.rows()) {
    const ledger::Transfer& transfer = row->transfer;
    if (plain_) {
      debit_.AddInt(row->debit->number);
      credit_.AddInt(row->credit->number);
      amount_.AddInt(transfer.amount_minor);
      write_.AddInt(row->write);
      code_.AddInt(transfer.code);
      client_.AddText(transfer.client);
      currency_.AddText(transfer.currency);
      id_.AddText(transfer.id);
      continue;
    }
    client_.AddText(transfer.client);
    id_.AddText(transfer.id);
    write_.AddInt(row->write);
    if (!one_time_) created_at_.AddTime(transfer.created_at);
    linked_.AddBool(transfer.linked);
    balancing_debit_.AddBool(transfer.balancing_debit);
    balancing_credit_.AddBool(transfer.balancing_credit);
    AddTextOrNull(pending_id_, transfer.pending_id);
    AddTextOrNull(corrects_, transfer.corrects);
    AddTextOrNull(user_data_, transfer.user_data);
    AddTextOrNull(currency_, transfer.currency);
    if (row->refusal) {
      phase_.AddText("refused");
      refusal_.AddText(Name(*row->refusal));
      for (ArrayParam* column : {&debit_, &credit_, &amount_, &requested_, &released_, &code_, &timeout_}) {
        column->AddNull();
      }
      continue;
    }
    phase_.AddText(Name(transfer.phase));
    refusal_.AddNull();
    debit_.AddInt(row->debit->number);
    credit_.AddInt(row->credit->number);
    amount_.AddInt(transfer.amount_minor);
    if (transfer.requested_minor == transfer.amount_minor) {
      requested_.AddNull();
    } else {
      requested_.AddInt(transfer.requested_minor);
    }
    const bool holds = transfer.phase == ledger::Phase::kSingle || transfer.phase == ledger::Phase::kPending;
    if (holds) {
      released_.AddNull();
    } else {
      released_.AddInt(transfer.released_minor);
    }
    code_.AddInt(transfer.code);
    if (transfer.timeout_seconds == 0) {
      timeout_.AddNull();
    } else {
      timeout_.AddInt(transfer.timeout_seconds);
    }
  }
}

std::string PostgresLedgerStore::Writer::InsertStatement() const {
  if (plain_) return "ledger_insert_plain";
  return one_time_ ? "ledger_insert" : "ledger_insert_timed";
}

std::vector<Param> PostgresLedgerStore::Writer::InsertParams() const {
  std::vector<Param> params = {debit_, credit_, amount_, write_, code_, client_, currency_, id_, Param::Time(made_at_)};
  if (plain_) return params;
  for (const ArrayParam* column : {&phase_, &requested_, &released_, &timeout_, &linked_, &balancing_debit_,
                                   &balancing_credit_, &pending_id_, &corrects_, &user_data_, &refusal_}) {
    params.emplace_back(*column);
  }
  if (!one_time_) params.emplace_back(created_at_);
  return params;
}

void PostgresLedgerStore::Writer::Committed(const Rows& numbers) {
  std::vector<int64_t> told;
  told.reserve(static_cast<size_t>(numbers.size()));
  for (int row = 0; row < numbers.size(); ++row) told.push_back(numbers.Int(row, 0));
  book_.NumberRows(told);
  TellChanges();
}

void PostgresLedgerStore::Writer::TellChanges() {
  std::vector<BalanceChange> changes;
  for (const ledger::BookAccount* account : book_.touched()) {
    if (account->changed) changes.push_back({account->client, account->id, account->balance, account->changed_at});
  }
  if (!changes.empty()) options_.on_changes(changes);
}

}  // namespace waybill::storage
