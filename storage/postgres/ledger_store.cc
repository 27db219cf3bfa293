#include "storage/postgres/ledger_store.h"

#include <algorithm>
#include <future>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/escaping.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "ledger/apply.h"
#include "nlohmann/json.hpp"
#include "storage/ledger_chain.h"
#include "storage/postgres/ledger_rows.h"
#include "storage/postgres/ledger_writer.h"
#include "storage/postgres/sqlstate.h"

namespace waybill::storage {
namespace {

using Prepared = Statement;  // the store has a method of that name

const char kFromAccounts[] = " FROM ledger_accounts a LEFT JOIN ledger_accounts p ON p.number = a.parent ";

std::string SelectAccounts(std::string_view where) {
  return fmt::format("SELECT {}{}{}", kAccountColumns, kFromAccounts, where);
}

std::string SelectTransfers(std::string_view from, std::string_view where) {
  return fmt::format("SELECT {} FROM {} {}{}", kTransferColumns, from, kTransferJoins, where);
}

// What was there before is left as it is. Those that belong to another come in a second statement, which sees the
// first's. In the order of the ids: who opens an account waits for who opens it as well, so all wait one way.
constexpr char kInsertAccounts[] =
    "INSERT INTO ledger_accounts (client, id, owner, currency, kind, code, debits_must_not_exceed_credits, "
    "credits_must_not_exceed_debits, history, closed, parent, metadata, created_at, changed_at) "
    "SELECT $1::text, i.id, i.owner, i.currency, i.kind, i.code, i.debits_limited, i.credits_limited, i.history, "
    "i.closed, "
    "p.number, i.metadata::jsonb, $12::timestamptz, $12::timestamptz "
    "FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::boolean[], $8::boolean[], "
    "$9::boolean[], $10::boolean[], $11::text[], $13::text[]) "
    "AS i (id, owner, currency, kind, code, debits_limited, credits_limited, history, closed, parent, metadata) "
    "LEFT JOIN ledger_accounts p ON p.client = $1 AND p.id = i.parent "
    "WHERE i.parent = '' OR p.number IS NOT NULL ORDER BY i.id COLLATE \"C\" ON CONFLICT (client, id) DO NOTHING "
    "RETURNING id";

// One index each, from its newest end; `created_at` goes with the number along an account.
std::string StatementSide(std::string_view column) {
  return fmt::format(
      "(SELECT t.* FROM ledger_transfers t WHERE t.{} = $1 AND t.created_at >= $2 AND t.created_at < $3 "
      "AND (t.created_at, t.number) < (COALESCE((SELECT b.created_at FROM ledger_transfers b WHERE b.number = $4), "
      "'infinity'), $4) ORDER BY t.created_at DESC, t.number DESC LIMIT $5)",
      column);
}

constexpr char kMomentColumns[] =
    "at, debits_posted, credits_posted, debits_pending, credits_pending, version FROM ledger_account_history ";

BalanceMoment DecodeMoment(const Rows& rows, int row, int from = 0) {
  BalanceMoment moment;
  moment.at = rows.Time(row, from);
  moment.balance = {rows.Int(row, from + 1), rows.Int(row, from + 2), rows.Int(row, from + 3), rows.Int(row, from + 4),
                    rows.Int(row, from + 5)};
  return moment;
}

std::string Metadata(const ledger::NewAccount& account) {
  nlohmann::json metadata = nlohmann::json::object();
  for (const auto& [key, value] : account.metadata) metadata[key] = value;
  return metadata.dump();
}

// Accounts to be opened, for kInsertAccounts.
struct NewAccountColumns {
  ArrayParam id{kOidText}, owner{kOidText}, currency{kOidText}, kind{kOidText}, code{kOidInt4},
      debits_limited{kOidBool}, credits_limited{kOidBool}, history{kOidBool}, closed{kOidBool}, parent{kOidText},
      metadata{kOidText};

  void Add(const ledger::NewAccount& account) {
    id.AddText(account.id);
    owner.AddText(account.owner);
    currency.AddText(account.currency);
    kind.AddText(account.kind);
    code.AddInt(account.code);
    debits_limited.AddBool(account.flags.debits_must_not_exceed_credits);
    credits_limited.AddBool(account.flags.credits_must_not_exceed_debits);
    history.AddBool(account.flags.history);
    closed.AddBool(account.flags.closed);
    parent.AddText(account.parent);
    metadata.AddText(Metadata(account));
  }
  std::vector<Param> Params(const std::string& client, absl::Time now) const {
    return {Param::Text(client),
            id,
            owner,
            currency,
            kind,
            code,
            debits_limited,
            credits_limited,
            history,
            closed,
            parent,
            Param::Time(now),
            metadata};
  }
};

}  // namespace

PostgresLedgerStore::PostgresLedgerStore(const LedgerStoreDeps& deps, LedgerStoreOptions options)
    : url_(deps.url),
      writes_(deps.writes),
      reads_(deps.reads),
      clock_(deps.clock),
      random_(deps.random),
      options_(std::move(options)) {
  std::vector<BatchWriter<Posting>*> writers;
  for (int i = 0; i < options_.writers; ++i) {
    writers_.push_back(std::make_unique<Writer>(url_, clock_, options_));
    writers.push_back(writers_.back().get());
  }
  BatcherOptions batching;
  batching.queue_max = options_.queue_max;
  batching.batch_max = options_.batch_max;
  batching.join_min = 64;
  batcher_ = std::make_unique<Batcher<Posting>>(std::move(writers), batching, deps.loops);
}

PostgresLedgerStore::~PostgresLedgerStore() { Stop(); }

absl::StatusOr<Rows> PostgresLedgerStore::Run(Pool& pool, const std::string& name, const std::string& sql,
                                              const std::vector<Param>& params) {
  absl::StatusOr<Pool::Lease> connection = pool.Acquire();
  if (!connection.ok()) return connection.status();
  if (absl::Status prepared = (*connection)->Prepare(name, sql); !prepared.ok()) return prepared;
  return (*connection)->ExecutePrepared(name, params);
}

// --- Transfers

void PostgresLedgerStore::Post(const std::string& client, std::vector<ledger::NewTransfer> transfers, Posted posted) {
  if (transfers.empty()) return posted(std::vector<ledger::Outcome>());
  if (transfers.size() > ledger::kBatchMax) {
    return posted(domain::BadField("transfers", fmt::format("at most {}", ledger::kBatchMax)));
  }
  Posting posting;
  posting.client = client;
  posting.transfers = std::move(transfers);
  posting.posted = std::move(posted);
  Offer(std::move(posting));
}

void PostgresLedgerStore::Offer(Posting posting) {
  posting.write = static_cast<int64_t>(random_.Next() >> 1);
  if (!batcher_->Offer(posting)) {
    posting.posted(domain::QueueFull("too many transfers wait for their commit", absl::Milliseconds(500)));
  }
}

absl::StatusOr<int> PostgresLedgerStore::ExpireDue(int limit) {
  absl::StatusOr<Rows> due =
      Run(reads_, "ledger_due",
          "SELECT t.client, t.id FROM ledger_expiries x JOIN ledger_transfers t ON t.number = x.transfer "
          "WHERE x.expires_at <= $1 ORDER BY x.expires_at LIMIT $2::integer",
          {Param::Time(clock_.Now()), Param::Int4(std::min<int32_t>(limit, ledger::kBatchMax))});
  if (!due.ok()) return due.status();
  std::map<std::string, std::vector<ledger::NewTransfer>> by_client;
  for (int row = 0; row < due->size(); ++row) {
    ledger::NewTransfer expiry;
    expiry.pending_id = due->Text(row, 1);
    expiry.id = ledger::ExpiryId(expiry.pending_id);
    expiry.phase = ledger::Phase::kExpired;
    by_client[std::string(due->Text(row, 0))].push_back(std::move(expiry));
  }
  // Through the writer, as everything: what was posted or voided since does not expire, whoever comes first.
  std::vector<std::future<absl::StatusOr<std::vector<ledger::Outcome>>>> answers;
  for (auto& [client, transfers] : by_client) {
    auto promise = std::make_shared<std::promise<absl::StatusOr<std::vector<ledger::Outcome>>>>();
    answers.push_back(promise->get_future());
    Posting posting;
    posting.client = client;
    posting.transfers = std::move(transfers);
    posting.expiry = true;
    posting.posted = [promise](absl::StatusOr<std::vector<ledger::Outcome>> outcomes) {
      promise->set_value(std::move(outcomes));
    };
    Offer(std::move(posting));
  }
  int expired = 0;
  absl::Status failed;
  for (auto& answer : answers) {
    absl::StatusOr<std::vector<ledger::Outcome>> outcomes = answer.get();
    failed.Update(outcomes.status());
    if (!outcomes.ok()) continue;
    for (const ledger::Outcome& outcome : *outcomes) {
      if (outcome.result == ledger::TransferResult::kCreated) ++expired;
    }
  }
  if (!failed.ok()) return failed;
  return expired;
}

// --- Accounts

absl::StatusOr<std::vector<ledger::AccountResult>> PostgresLedgerStore::CreateAccounts(
    const std::string& client, const std::vector<ledger::NewAccount>& accounts) {
  using ledger::AccountResult;
  if (accounts.size() > ledger::kBatchMax) {
    return domain::BadField("accounts", fmt::format("at most {}", ledger::kBatchMax));
  }
  std::vector<AccountResult> results(accounts.size(), AccountResult::kCreated);
  std::vector<std::string> wanted;
  for (size_t n = 0; n < accounts.size(); ++n) {
    results[n] = ledger::CheckAccount(accounts[n]);
    if (results[n] != AccountResult::kCreated) continue;
    wanted.push_back(accounts[n].id);
    if (!accounts[n].parent.empty()) wanted.push_back(accounts[n].parent);
  }
  absl::StatusOr<std::vector<ledger::Account>> found = GetAccounts(client, wanted);
  if (!found.ok()) return found.status();
  absl::flat_hash_map<std::string, const ledger::NewAccount*> known;
  for (const ledger::Account& account : *found) known[account.id] = &account;
  NewAccountColumns roots, children;
  std::vector<size_t> fresh;
  for (size_t at = 0; at < accounts.size(); ++at) {
    if (results[at] != AccountResult::kCreated) continue;
    const ledger::NewAccount& account = accounts[at];
    if (const auto existing = known.find(account.id); existing != known.end()) {
      results[at] = ledger::CompareAccount(account, *existing->second);
      continue;
    }
    if (!account.parent.empty()) {
      const auto of = known.find(account.parent);
      results[at] = ledger::CheckParent(account, of == known.end() ? nullptr : of->second);
      if (results[at] != AccountResult::kCreated) continue;
    }
    (account.parent.empty() ? roots : children).Add(account);
    known[account.id] = &account;
    fresh.push_back(at);
  }
  if (fresh.empty()) return results;
  absl::StatusOr<Pool::Lease> connection = writes_.Acquire();
  if (!connection.ok()) return connection.status();
  if (absl::Status prepared = (*connection)->Prepare("ledger_open", kInsertAccounts); !prepared.ok()) return prepared;
  const absl::Time now = clock_.Now();
  const std::vector<Param> open_roots = roots.Params(client, now), open_children = children.Params(client, now);
  const Prepared statements[] = {{"ledger_open", open_roots}, {"ledger_open", open_children}};
  absl::StatusOr<std::vector<Rows>> rows = (*connection)->Pipeline(statements);
  if (!rows.ok()) return rows.status();
  absl::flat_hash_set<std::string> opened;
  for (const Rows& part : *rows) {
    for (int row = 0; row < part.size(); ++row) opened.emplace(part.Text(row, 0));
  }
  if (opened.size() == fresh.size()) return results;
  // Others have opened some meanwhile.
  found = GetAccounts(client, wanted);
  if (!found.ok()) return found.status();
  known.clear();
  for (const ledger::Account& account : *found) known[account.id] = &account;
  for (const size_t at : fresh) {
    if (opened.contains(accounts[at].id)) continue;
    const auto existing = known.find(accounts[at].id);
    results[at] = existing == known.end() ? AccountResult::kParentNotFound
                                          : ledger::CompareAccount(accounts[at], *existing->second);
  }
  return results;
}

absl::Status PostgresLedgerStore::SetClosed(const std::string& client, const std::string& account, bool closed) {
  absl::StatusOr<Rows> rows =
      Run(writes_, "ledger_close",
          "WITH found AS (SELECT number, closed FROM ledger_accounts WHERE client = $1 AND id = $2), "
          "changed AS (UPDATE ledger_accounts a SET closed = $3 FROM found f WHERE a.number = f.number "
          "AND a.closed <> $3) SELECT number FROM found",
          {Param::Text(client), Param::Text(account), Param::Bool(closed)});
  if (!rows.ok()) return rows.status();
  return rows->empty() ? AccountNotFound(account) : absl::OkStatus();
}

absl::StatusOr<ledger::Account> PostgresLedgerStore::GetAccount(const std::string& client, const std::string& account) {
  absl::StatusOr<Rows> rows = Run(reads_, "ledger_account", SelectAccounts("WHERE a.client = $1 AND a.id = $2"),
                                  {Param::Text(client), Param::Text(account)});
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return AccountNotFound(account);
  return DecodeAccount(*rows, 0);
}

absl::StatusOr<std::vector<ledger::Account>> PostgresLedgerStore::GetAccounts(
    const std::string& client, const std::vector<std::string>& accounts) {
  std::vector<ledger::Account> found;
  if (accounts.empty()) return found;
  ArrayParam ids(kOidText);
  for (const std::string& account : accounts) ids.AddText(account);
  absl::StatusOr<Rows> rows =
      Run(reads_, "ledger_accounts", SelectAccounts("WHERE a.client = $1 AND a.id = ANY($2::text[])"),
          {Param::Text(client), ids});
  if (!rows.ok()) return rows.status();
  for (int row = 0; row < rows->size(); ++row) {
    absl::StatusOr<ledger::Account> account = DecodeAccount(*rows, row);
    if (!account.ok()) return account.status();
    found.push_back(*std::move(account));
  }
  return found;
}

absl::StatusOr<std::vector<ledger::Account>> PostgresLedgerStore::ListAccounts(const AccountQuery& query) {
  std::vector<Param> params;
  std::string where = "WHERE true";
  const auto add = [&](std::string_view condition, Param param) {
    params.push_back(param);
    where += fmt::format(" AND {} ${}", condition, params.size());
  };
  if (query.client) add("a.client =", Param::Text(*query.client));
  if (!query.owner.empty()) add("a.owner =", Param::Text(query.owner));
  if (!query.currency.empty()) add("a.currency =", Param::Text(query.currency));
  if (!query.kind.empty()) add("a.kind =", Param::Text(query.kind));
  if (query.code) add("a.code =", Param::Int4(*query.code));
  if (!query.parent.empty()) add("p.id =", Param::Text(query.parent));
  if (query.after) {
    params.push_back(Param::Text(query.after->client));
    params.push_back(Param::Text(query.after->id));
    where += fmt::format(" AND (a.client, a.id) > (${}, ${})", params.size() - 1, params.size());
  }
  params.push_back(Param::Int8(query.limit));
  absl::StatusOr<Pool::Lease> connection = reads_.Acquire();
  if (!connection.ok()) return connection.status();
  absl::StatusOr<Rows> rows =
      (*connection)
          ->Execute(SelectAccounts(fmt::format("{} ORDER BY a.client, a.id LIMIT ${}", where, params.size())), params);
  if (!rows.ok()) return rows.status();
  std::vector<ledger::Account> accounts;
  for (int row = 0; row < rows->size(); ++row) {
    absl::StatusOr<ledger::Account> account = DecodeAccount(*rows, row);
    if (!account.ok()) return account.status();
    accounts.push_back(*std::move(account));
  }
  return accounts;
}

absl::StatusOr<PostgresLedgerStore::AccountFacts> PostgresLedgerStore::Facts(const std::string& client,
                                                                             const std::string& account) {
  absl::StatusOr<Rows> rows = Run(
      reads_, "ledger_facts", "SELECT number, history, created_at FROM ledger_accounts WHERE client = $1 AND id = $2",
      {Param::Text(client), Param::Text(account)});
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return AccountNotFound(account);
  return AccountFacts{rows->Int(0, 0), rows->Bool(0, 1), rows->Time(0, 2)};
}

// --- Reads of transfers

absl::StatusOr<std::vector<TransferRecord>> PostgresLedgerStore::GetTransfers(
    const std::string& client, const std::vector<std::string>& transfers) {
  std::vector<TransferRecord> found;
  if (transfers.empty()) return found;
  ArrayParam ids(kOidText);
  for (const std::string& transfer : transfers) ids.AddText(transfer);
  absl::StatusOr<Rows> rows = Run(
      reads_, "ledger_transfers",
      SelectTransfers("ledger_transfers t", " WHERE t.client = $1 AND t.id = ANY($2::text[]) AND t.refusal IS NULL"),
      {Param::Text(client), ids});
  if (!rows.ok()) return rows.status();
  for (int row = 0; row < rows->size(); ++row) {
    absl::StatusOr<TransferRecord> transfer = DecodeTransfer(*rows, row);
    if (!transfer.ok()) return transfer.status();
    found.push_back(*std::move(transfer));
  }
  return found;
}

absl::StatusOr<TransferRecord> PostgresLedgerStore::GetTransfer(const std::string& client,
                                                                const std::string& transfer) {
  absl::StatusOr<std::vector<TransferRecord>> found = GetTransfers(client, {transfer});
  if (!found.ok()) return found.status();
  if (found->empty()) return TransferNotFound(transfer);
  return std::move(found->front());
}

absl::StatusOr<std::optional<ledger::TransferResult>> PostgresLedgerStore::GetRefusal(const std::string& client,
                                                                                      const std::string& transfer) {
  absl::StatusOr<Rows> rows =
      Run(reads_, "ledger_refusal",
          "SELECT refusal FROM ledger_transfers WHERE client = $1 AND id = $2 AND refusal IS NOT NULL",
          {Param::Text(client), Param::Text(transfer)});
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return std::nullopt;
  const std::optional<ledger::TransferResult> refusal = ledger::ParseTransferResult(rows->Text(0, 0));
  if (!refusal) return domain::ReasonError("UNREADABLE_ROW", fmt::format("refusal is {}", rows->Text(0, 0)));
  return refusal;
}

absl::StatusOr<std::vector<TransferRecord>> PostgresLedgerStore::Statement(const StatementQuery& query) {
  absl::StatusOr<AccountFacts> facts = Facts(query.client, query.account);
  if (!facts.ok()) return facts.status();
  std::string sides;
  if (query.side != StatementQuery::Side::kCredits) sides = StatementSide("debit_account");
  if (query.side != StatementQuery::Side::kDebits) {
    sides += (sides.empty() ? "" : " UNION ALL ") + StatementSide("credit_account");
  }
  absl::StatusOr<Rows> rows =
      Run(reads_, fmt::format("ledger_statement{}", static_cast<int>(query.side)),
          SelectTransfers(
              fmt::format("(SELECT u.* FROM ({}) u ORDER BY u.created_at DESC, u.number DESC LIMIT $5) t", sides),
              " ORDER BY t.created_at DESC, t.number DESC"),
          {Param::Int8(facts->number), Param::Time(query.from), Param::Time(query.to),
           Param::Int8(query.before.value_or(std::numeric_limits<int64_t>::max())), Param::Int8(query.limit)});
  if (!rows.ok()) return rows.status();
  std::vector<TransferRecord> found;
  for (int row = 0; row < rows->size(); ++row) {
    absl::StatusOr<TransferRecord> transfer = DecodeTransfer(*rows, row);
    if (!transfer.ok()) return transfer.status();
    found.push_back(*std::move(transfer));
  }
  return found;
}

// --- Balances

absl::StatusOr<BalanceMoment> PostgresLedgerStore::BalanceAt(const std::string& client, const std::string& account,
                                                             absl::Time moment) {
  absl::StatusOr<AccountFacts> facts = Facts(client, account);
  if (!facts.ok()) return facts.status();
  if (!facts->history) return HistoryNotKept(account);
  absl::StatusOr<Rows> rows =
      Run(reads_, "ledger_balance_at",
          fmt::format("SELECT s.settled_at > $2, h.* FROM ledger_seal s LEFT JOIN LATERAL (SELECT {}WHERE account = $1 "
                      "AND at <= $2 ORDER BY at DESC, version DESC LIMIT 1) h ON true",
                      kMomentColumns),
          {Param::Int8(facts->number), Param::Time(moment)});
  if (!rows.ok()) return rows.status();
  BalanceMoment found{facts->created_at, {}};
  if (rows->empty()) return domain::ReasonError("UNREADABLE_ROW", "the head of the chain is not there");
  if (!rows->IsNull(0, 1)) found = DecodeMoment(*rows, 0, 1);
  found.settled = rows->Bool(0, 0);
  return found;
}

absl::StatusOr<std::vector<BalanceMoment>> PostgresLedgerStore::History(const HistoryQuery& query) {
  absl::StatusOr<AccountFacts> facts = Facts(query.client, query.account);
  if (!facts.ok()) return facts.status();
  if (!facts->history) return HistoryNotKept(query.account);
  absl::StatusOr<Rows> rows =
      Run(reads_, "ledger_history",
          fmt::format("SELECT {}WHERE account = $1 AND version < $2 ORDER BY version DESC LIMIT $3", kMomentColumns),
          {Param::Int8(facts->number), Param::Int8(query.before.value_or(std::numeric_limits<int64_t>::max())),
           Param::Int8(query.limit)});
  if (!rows.ok()) return rows.status();
  std::vector<BalanceMoment> moments;
  for (int row = 0; row < rows->size(); ++row) moments.push_back(DecodeMoment(*rows, row));
  return moments;
}

absl::StatusOr<std::vector<TrialBalanceLine>> PostgresLedgerStore::TrialBalance(const Owner& client) {
  absl::StatusOr<Rows> rows =
      Run(reads_, "ledger_trial_balance",
          "SELECT client, currency, kind, count(*), sum(debits_posted)::bigint, sum(credits_posted)::bigint, "
          "sum(debits_pending)::bigint, sum(credits_pending)::bigint FROM ledger_accounts "
          "WHERE parent IS NULL AND ($1::text IS NULL OR client = $1) GROUP BY client, currency, kind "
          "ORDER BY client, currency, kind",
          {client ? Param::Text(*client) : Param::Null(kOidText)});
  if (!rows.ok()) {
    if (Sqlstate(rows.status()) == "22003") return domain::ReasonError("SUM_TOO_LARGE", "a sum is beyond 2^63 - 1");
    return rows.status();
  }
  std::vector<TrialBalanceLine> lines;
  for (int row = 0; row < rows->size(); ++row) {
    lines.push_back({std::string(rows->Text(row, 0)), std::string(rows->Text(row, 1)), std::string(rows->Text(row, 2)),
                     rows->Int(row, 3), rows->Int(row, 4), rows->Int(row, 5), rows->Int(row, 6), rows->Int(row, 7)});
  }
  return lines;
}

absl::Status PostgresLedgerStore::Ping() {
  absl::StatusOr<Pool::Lease> connection = reads_.Acquire();
  if (!connection.ok()) return connection.status();
  return (*connection)->Execute("SELECT FROM ledger_accounts LIMIT 1").status();
}

}  // namespace waybill::storage
