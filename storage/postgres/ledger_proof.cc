// Sealing, and the proof that the ledger is whole.
#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/escaping.h"
#include "fmt/format.h"
#include "storage/ledger_chain.h"
#include "storage/postgres/ledger_rows.h"
#include "storage/postgres/ledger_store.h"
#include "storage/postgres/sqlstate.h"

namespace waybill::storage {
namespace {

// Rows of one read; what Verify has in memory of transfers.
constexpr int64_t kPage = 5'000;
// Rows of an account's history that are read beyond those that its transfers ask for: closing an account makes one as
// well.
constexpr int64_t kMoreHistory = 8;
// Accounts whose sums Verify has in memory at once; where there are more, it reads the transfers so many times more.
constexpr int64_t kAccountsAtOnce = 1'000'000;

std::string ReadChainSql() {
  return fmt::format(
      "SELECT {} FROM ledger_transfers t WHERE t.number > $1 AND t.number <= $2 ORDER BY t.number LIMIT $3",
      kChainColumns);
}

std::string ReadChainAccountsSql() {
  return fmt::format(
      "SELECT {} FROM ledger_accounts a WHERE a.number > $1 AND a.number <= $2 ORDER BY a.number LIMIT $3",
      kChainAccountColumns);
}

// Before every number.
constexpr int64_t kStart = std::numeric_limits<int64_t>::min();
constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();

struct Sums {
  int64_t debits_posted = 0, credits_posted = 0, debits_pending = 0, credits_pending = 0;

  friend bool operator==(const Sums&, const Sums&) = default;
};

std::string Hex(std::string_view bytes) {
  return absl::BytesToHexString(absl::string_view(bytes.data(), bytes.size()));
}

// A session that may take its time, in transactions of its own.
ConnectionOptions ProofConnectionOptions() {
  ConnectionOptions options = ReadConnectionOptions();
  options.application_name = "waybill-ledger-verify";
  options.statement_timeout = absl::Minutes(5);
  return options;
}

class Verification {
 public:
  Verification(Connection& connection, const std::function<bool(const VerifyProgress&)>& progress)
      : connection_(connection), progress_(progress) {}

  absl::StatusOr<VerifyReport> Run() {
    absl::StatusOr<Rows> newest = connection_.Execute("SELECT COALESCE(max(number), 0) FROM ledger_transfers");
    if (!newest.ok()) return newest.status();
    last_ = newest->Int(0, 0);
    for (from_ = kStart; from_ < kEnd; from_ = to_) {
      const bool first = from_ == kStart;
      absl::StatusOr<Rows> page = connection_.Execute(
          "SELECT max(number), count(*) FROM (SELECT number FROM ledger_accounts WHERE number > $1 ORDER BY number "
          "LIMIT $2) p",
          {Param::Int8(from_), Param::Int8(kAccountsAtOnce)});
      if (!page.ok()) return page.status();
      to_ = page->Int(0, 1) < kAccountsAtOnce ? kEnd : page->Int(0, 0);
      own_.clear();
      past_.clear();
      belongs_.clear();
      seen_.clear();
      if (absl::Status chain = Chain(first); !chain.ok()) return chain;
      if (absl::Status balances = Snapshot(first); !balances.ok()) return balances;
    }
    return std::move(report_);
  }

 private:
  absl::Status Tell(std::string_view stage, int64_t done, int64_t of) {
    if (progress_ && !progress_({stage, done, of})) return absl::CancelledError("the verification was ended");
    return absl::OkStatus();
  }

  void Fault(std::string what) { report_.AddFault(std::move(what)); }

  absl::Status ForEach(int64_t after, int64_t last, const std::function<void(const ChainRow&)>& row) {
    const std::string sql = ReadChainSql();
    if (absl::Status prepared = connection_.Prepare("ledger_chain", sql); !prepared.ok()) return prepared;
    while (after < last) {
      absl::StatusOr<Rows> rows =
          connection_.ExecutePrepared("ledger_chain", {Param::Int8(after), Param::Int8(last), Param::Int8(kPage)});
      if (!rows.ok()) return rows.status();
      if (absl::Status read = ReadPast(*rows); !read.ok()) return read;
      for (int n = 0; n < rows->size(); ++n) row(DecodeChainRow(*rows, n));
      if (!past_status_.ok()) return past_status_;
      if (rows->size() < kPage) break;
      after = rows->Int(rows->size() - 1, 0);
    }
    return absl::OkStatus();
  }

  absl::Status ForEachAccount(int64_t after, int64_t last, const std::function<void(const ChainAccount&)>& account) {
    const std::string sql = ReadChainAccountsSql();
    while (after < last) {
      absl::StatusOr<Rows> rows = connection_.Execute(sql, {Param::Int8(after), Param::Int8(last), Param::Int8(kPage)});
      if (!rows.ok()) return rows.status();
      for (int n = 0; n < rows->size(); ++n) account(DecodeChainAccount(*rows, n));
      if (rows->size() < kPage) break;
      after = rows->Int(rows->size() - 1, 0);
    }
    return absl::OkStatus();
  }

  // --- Each balance in an account's history is what its transfers had come to, one after the other.

  struct Past {
    Sums sums;              // of the transfers so far
    int64_t version = 0;    // the newest row that was read
    std::deque<Sums> rows;  // that were read, and that no transfer has come to yet
    int64_t asked = 0;      // transfers of this page
    bool begun = false;
    bool all = false;  // there were no more when it was read
  };

  // Which of a page's accounts keep their history, and which belong to such a one.
  absl::Status KnowAccounts(const Rows& page) {
    if (seen_.size() > static_cast<size_t>(kAccountsAtOnce)) {
      seen_.clear();
      belongs_.clear();
    }
    ArrayParam unknown(kOidInt8);
    for (int n = 0; n < page.size(); ++n) {
      for (const int column : {1, 2}) {
        if (!page.IsNull(n, column) && seen_.insert(page.Int(n, column)).second) unknown.AddInt(page.Int(n, column));
      }
    }
    if (unknown.size() == 0) return absl::OkStatus();
    absl::StatusOr<Rows> rows = connection_.Execute(
        "SELECT a.number, a.history AND a.number > $2 AND a.number <= $3, "
        "CASE WHEN p.history AND p.number > $2 AND p.number <= $3 THEN p.number END "
        "FROM ledger_accounts a LEFT JOIN ledger_accounts p ON p.number = a.parent "
        "WHERE a.number = ANY($1::bigint[]) AND (a.history OR p.history)",
        {unknown, Param::Int8(from_), Param::Int8(to_)});
    if (!rows.ok()) return rows.status();
    for (int n = 0; n < rows->size(); ++n) {
      if (rows->Bool(n, 1)) past_.try_emplace(rows->Int(n, 0));
      if (rows->IsNull(n, 2)) continue;
      past_.try_emplace(rows->Int(n, 2));
      belongs_[rows->Int(n, 0)] = rows->Int(n, 2);
    }
    return absl::OkStatus();
  }

  // The account's history, and that of what it belongs to.
  void ForPast(int64_t account, const std::function<void(int64_t, Past&)>& then) {
    if (const auto it = past_.find(account); it != past_.end()) then(account, it->second);
    if (const auto of = belongs_.find(account); of != belongs_.end()) then(of->second, past_.at(of->second));
  }

  // What the history of a page's accounts says of its transfers, at once.
  absl::Status ReadPast(const Rows& page) {
    if (absl::Status known = KnowAccounts(page); !known.ok()) return known;
    if (past_.empty()) return absl::OkStatus();
    absl::flat_hash_map<int64_t, Past*> asked;
    for (int n = 0; n < page.size(); ++n) {
      for (const int column : {1, 2}) {
        if (page.IsNull(n, column)) continue;
        ForPast(page.Int(n, column), [&](int64_t account, Past& past) {
          past.all = false;
          ++past.asked;
          asked[account] = &past;
        });
      }
    }
    ArrayParam accounts(kOidInt8), versions(kOidInt8), limits(kOidInt8);
    for (const auto& [account, past] : asked) {
      const int64_t wanted = std::exchange(past->asked, 0) + kMoreHistory - static_cast<int64_t>(past->rows.size());
      if (wanted <= 0) continue;
      accounts.AddInt(account);
      versions.AddInt(past->version);
      limits.AddInt(wanted);
    }
    return ReadPast(accounts, versions, limits);
  }

  absl::Status ReadPast(const ArrayParam& accounts, const ArrayParam& versions, const ArrayParam& limits) {
    if (accounts.size() == 0) return absl::OkStatus();
    absl::StatusOr<Rows> rows = connection_.Execute(
        "SELECT w.account, h.version, h.debits_posted, h.credits_posted, h.debits_pending, h.credits_pending "
        "FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS w (account, version, wanted) LEFT JOIN LATERAL "
        "(SELECT * FROM ledger_account_history h WHERE h.account = w.account AND h.version > w.version "
        "ORDER BY h.version LIMIT w.wanted) h ON true ORDER BY w.account, h.version",
        {accounts, versions, limits});
    if (!rows.ok()) return rows.status();
    for (int n = 0; n < rows->size(); ++n) {
      if (rows->IsNull(n, 1)) continue;
      Past& past = past_.at(rows->Int(n, 0));
      past.version = rows->Int(n, 1);
      past.rows.push_back({rows->Int(n, 2), rows->Int(n, 3), rows->Int(n, 4), rows->Int(n, 5)});
    }
    return absl::OkStatus();
  }

  // One side of a transfer. In order: what it has come to is not looked for any more.
  void CountPast(int64_t account, const Sums& change) {
    ForPast(account, [&](int64_t of, Past& past) {
      if (!std::exchange(past.begun, true)) Meet(of, past);  // closed, and opened again, while it was empty
      past.sums.debits_posted += change.debits_posted;
      past.sums.credits_posted += change.credits_posted;
      past.sums.debits_pending += change.debits_pending;
      past.sums.credits_pending += change.credits_pending;
      Meet(of, past);
    });
  }

  void Meet(int64_t account, Past& past) {
    while (past_status_.ok()) {
      if (past.rows.empty() && !past.all) {
        ArrayParam accounts(kOidInt8), versions(kOidInt8), limits(kOidInt8);
        accounts.AddInt(account);
        versions.AddInt(past.version);
        limits.AddInt(kPage);
        past_status_ = ReadPast(accounts, versions, limits);
        past.all = static_cast<int64_t>(past.rows.size()) < kPage;
      }
      if (past.rows.empty() || past.rows.front() != past.sums) return;
      past.rows.pop_front();
    }
  }

  void Count(const ChainRow& row) {
    if (row.phase == "refused") return;
    const bool posts = row.phase == "single" || row.phase == "post";
    const int64_t posted = posts ? row.amount : 0;
    const int64_t pending = row.phase == "pending" ? row.amount : row.phase == "single" ? 0 : -row.released;
    if (!past_.empty()) {
      CountPast(row.debit_account, {posted, 0, pending, 0});
      CountPast(row.credit_account, {0, posted, 0, pending});
    }
    if (row.debit_account > from_ && row.debit_account <= to_) {
      Sums& sums = own_[row.debit_account];
      sums.debits_posted += posted;
      sums.debits_pending += pending;
    }
    if (row.credit_account > from_ && row.credit_account <= to_) {
      Sums& sums = own_[row.credit_account];
      sums.credits_posted += posted;
      sums.credits_pending += pending;
    }
  }

  // Batch by batch; their transfers can no longer change.
  absl::Status Chain(bool tell) {
    std::string hash(kBatchHashSize, '\0');
    int64_t number = 0;
    sealed_ = sealed_accounts_ = kStart;
    while (true) {
      absl::StatusOr<Rows> batches = connection_.Execute(
          "SELECT number, first_transfer, last_transfer, transfers, previous_hash, hash, accounts, last_account "
          "FROM ledger_batches WHERE number > $1 ORDER BY number LIMIT 100",
          {Param::Int8(number)});
      if (!batches.ok()) return batches.status();
      if (batches->empty()) break;
      for (int n = 0; n < batches->size(); ++n) {
        const int64_t at = batches->Int(n, 0), last = batches->Int(n, 2);
        if (tell && at != number + 1) Fault(fmt::format("batch {} is followed by batch {}", number, at));
        if (tell && batches->Bytes(n, 4) != hash) {
          Fault(fmt::format("batch {} does not have the hash of the one before it", at));
        }
        if (tell && batches->Int(n, 1) != std::max<int64_t>(sealed_, 0) + 1) {
          Fault(fmt::format("batch {} begins at transfer {}, not behind {}", at, batches->Int(n, 1),
                            std::max<int64_t>(sealed_, 0)));
        }
        BatchHash of(hash);
        int64_t transfers = 0, accounts = 0;
        if (tell) {
          if (absl::Status read = ForEachAccount(sealed_accounts_, batches->Int(n, 7),
                                                 [&](const ChainAccount& account) {
                                                   of.Add(account);
                                                   ++accounts;
                                                 });
              !read.ok()) {
            return read;
          }
          if (accounts != batches->Int(n, 6)) {
            Fault(fmt::format("batch {} had {} accounts, and has {}", at, batches->Int(n, 6), accounts));
          }
        }
        if (absl::Status read = ForEach(sealed_, last,
                                        [&](const ChainRow& row) {
                                          if (tell) of.Add(row);
                                          ++transfers;
                                          Count(row);
                                        });
            !read.ok()) {
          return read;
        }
        if (tell) {
          report_.transfers += transfers;
          if (transfers != batches->Int(n, 3)) {
            Fault(fmt::format("batch {} had {} transfers, and has {}", at, batches->Int(n, 3), transfers));
          }
          if (of.Finish() != batches->Bytes(n, 5)) {
            Fault(fmt::format("the transfers or accounts of batch {} are not as sealed", at));
          }
          ++report_.batches;
          report_.last_hash = Hex(batches->Bytes(n, 5));
        }
        number = at;
        sealed_ = last;
        sealed_accounts_ = batches->Int(n, 7);
        hash = batches->Bytes(n, 5);
        if (absl::Status told = Tell("chain", sealed_, last_); !told.ok()) return told;
      }
    }
    return absl::OkStatus();
  }

  // What is not sealed yet, and the accounts, of one moment.
  absl::Status Snapshot(bool tell) {
    absl::Status status = connection_.ExecuteScript("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    if (status.ok()) status = WithinSnapshot(tell);
    if (!connection_.Broken()) (void)connection_.ExecuteScript("ROLLBACK");
    return status;
  }

  absl::Status WithinSnapshot(bool tell) {
    absl::StatusOr<Rows> head = connection_.Execute(
        "SELECT s.sealed, s.batches, s.hash, COALESCE((SELECT max(number) FROM ledger_transfers), 0), "
        "COALESCE((SELECT max(last_transfer) FROM ledger_batches), 0), s.accounts, "
        "COALESCE((SELECT max(last_account) FROM ledger_batches), 0) FROM ledger_seal s");
    if (!head.ok()) return head.status();
    if (head->empty()) {
      Fault("the head of the chain is not there");
      return absl::OkStatus();
    }
    if (tell && head->Int(0, 0) != head->Int(0, 4)) {
      Fault(fmt::format("the head of the chain says that all up to {} is sealed, and its batches reach {}",
                        head->Int(0, 0), head->Int(0, 4)));
    }
    if (tell && head->Int(0, 5) != head->Int(0, 6)) {
      Fault(fmt::format("the head of the chain says that all accounts up to {} are sealed, and its batches reach {}",
                        head->Int(0, 5), head->Int(0, 6)));
    }
    if (absl::Status read = ForEach(sealed_, head->Int(0, 3),
                                    [&](const ChainRow& row) {
                                      Count(row);
                                      if (tell && row.number > head->Int(0, 4)) ++report_.unsealed;
                                      if (tell) ++report_.transfers;
                                    });
        !read.ok()) {
      return read;
    }
    if (absl::Status balances = Balances(); !balances.ok()) return balances;
    if (absl::Status history = History(); !history.ok()) return history;
    if (!tell) return absl::OkStatus();
    if (absl::Status pending = Pending(); !pending.ok()) return pending;
    return Currencies();
  }

  absl::Status Balances() {
    // Those that belong to another count there too; they have greater numbers than it.
    absl::flat_hash_map<int64_t, Sums> theirs;
    for (int64_t after = kStart;;) {
      absl::StatusOr<Rows> children = connection_.Execute(
          "SELECT number, parent, debits_posted, credits_posted, debits_pending, credits_pending "
          "FROM ledger_accounts WHERE parent > $1 AND parent <= $2 AND number > $3 "
          "ORDER BY number LIMIT 5000",
          {Param::Int8(from_), Param::Int8(to_), Param::Int8(after)});
      if (!children.ok()) return children.status();
      for (int n = 0; n < children->size(); ++n) {
        Sums& sums = theirs[children->Int(n, 1)];
        sums.debits_posted += children->Int(n, 2);
        sums.credits_posted += children->Int(n, 3);
        sums.debits_pending += children->Int(n, 4);
        sums.credits_pending += children->Int(n, 5);
      }
      if (children->size() < kPage) break;
      after = children->Int(children->size() - 1, 0);
    }
    for (int64_t after = from_;;) {
      absl::StatusOr<Rows> rows = connection_.Execute(
          "SELECT a.number, a.client, a.id, a.debits_posted, a.credits_posted, a.debits_pending, a.credits_pending, "
          "a.version, CASE WHEN a.history THEN COALESCE((SELECT (h.version = a.version AND h.debits_posted = "
          "a.debits_posted AND h.credits_posted = a.credits_posted AND h.debits_pending = a.debits_pending AND "
          "h.credits_pending = a.credits_pending) FROM ledger_account_history h WHERE h.account = a.number "
          "ORDER BY h.version DESC LIMIT 1), a.version = 0) ELSE true END "
          "FROM ledger_accounts a WHERE a.number > $1 AND a.number <= $2 ORDER BY a.number LIMIT 5000",
          {Param::Int8(after), Param::Int8(to_)});
      if (!rows.ok()) return rows.status();
      for (int n = 0; n < rows->size(); ++n) {
        ++report_.accounts;
        const int64_t number = rows->Int(n, 0);
        Sums expected = own_[number];
        if (const auto it = theirs.find(number); it != theirs.end()) {
          expected.debits_posted += it->second.debits_posted;
          expected.credits_posted += it->second.credits_posted;
          expected.debits_pending += it->second.debits_pending;
          expected.credits_pending += it->second.credits_pending;
        }
        const Sums has{rows->Int(n, 3), rows->Int(n, 4), rows->Int(n, 5), rows->Int(n, 6)};
        if (has != expected) {
          Fault(
              fmt::format("account {} of {} has debits {} and credits {} posted, {} and {} pending; its transfers say "
                          "{} and {}, {} and {}",
                          rows->Text(n, 2), rows->Text(n, 1), has.debits_posted, has.credits_posted, has.debits_pending,
                          has.credits_pending, expected.debits_posted, expected.credits_posted, expected.debits_pending,
                          expected.credits_pending));
        }
        if (!rows->Bool(n, 8)) {
          Fault(fmt::format("the newest balance in the history of account {} of {} is not the account's",
                            rows->Text(n, 2), rows->Text(n, 1)));
        }
      }
      if (absl::Status told = Tell("balances", report_.accounts, report_.accounts); !told.ok()) return told;
      if (rows->size() < kPage) break;
      after = rows->Int(rows->size() - 1, 0);
    }
    return absl::OkStatus();
  }

  // Each end is of a pending transfer as it is; and those with a timeout that are open, and no others, are to expire.
  absl::Status Pending() {
    for (int64_t after = kStart;;) {
      // By rows: between two numbers there may be any distance.
      absl::StatusOr<Rows> page = connection_.Execute(
          "SELECT max(number), count(*) FROM (SELECT number FROM ledger_transfers WHERE number > $1 ORDER BY number "
          "LIMIT $2) p",
          {Param::Int8(after), Param::Int8(kPage)});
      if (!page.ok()) return page.status();
      if (page->Int(0, 1) == 0) return absl::OkStatus();
      const int64_t last = page->Int(0, 0);
      absl::StatusOr<Rows> wrong = connection_.Execute(
          "SELECT t.client, t.id FROM ledger_transfers t LEFT JOIN ledger_transfers p ON p.client = t.client AND "
          "p.id = t.pending_id WHERE t.number > $1 AND t.number <= $2 AND t.pending_id IS NOT NULL AND "
          "(p.phase IS DISTINCT FROM 'pending' OR p.amount <> t.released OR p.debit_account <> t.debit_account OR "
          "p.credit_account <> t.credit_account OR p.currency <> t.currency) "
          "UNION ALL SELECT t.client, t.id FROM ledger_transfers t LEFT JOIN ledger_transfers e ON "
          "e.client = t.client AND e.pending_id = t.id LEFT JOIN ledger_expiries x ON x.transfer = t.number "
          "WHERE t.number > $1 AND t.number <= $2 AND t.phase = 'pending' AND t.timeout_seconds IS NOT NULL AND "
          "(e.number IS NULL) <> (x.transfer IS NOT NULL)",
          {Param::Int8(after), Param::Int8(last)});
      if (!wrong.ok()) return wrong.status();
      for (int n = 0; n < wrong->size(); ++n) {
        Fault(fmt::format("transfer {} of {} and what it ends, or what ends it, do not fit", wrong->Text(n, 1),
                          wrong->Text(n, 0)));
      }
      if (absl::Status told = Tell("pending", last, last_); !told.ok()) return told;
      after = last;
    }
  }

  // Each account's balances from its first on, one version after the other: time does not run back, each keeps to the
  // account's flags, and each was met by its transfers. That the newest is the account's, Balances has seen.
  absl::Status History() {
    int64_t account = 0, version = 0, rows_seen = 0, broken = 0;
    absl::Time at;
    for (bool more = true; more;) {
      absl::StatusOr<Rows> rows = connection_.Execute(
          "SELECT h.account, h.version, h.at, h.debits_posted, h.credits_posted, h.debits_pending, h.credits_pending, "
          "COALESCE(a.client, ''), COALESCE(a.id, ''), COALESCE(a.history, false), "
          "(a.debits_must_not_exceed_credits AND h.debits_posted + h.debits_pending > h.credits_posted) OR "
          "(a.credits_must_not_exceed_debits AND h.credits_posted + h.credits_pending > h.debits_posted) OR "
          "least(h.debits_posted, h.credits_posted, h.debits_pending, h.credits_pending) < 0 "
          "FROM ledger_account_history h LEFT JOIN ledger_accounts a ON a.number = h.account "
          "WHERE (h.account, h.version) > ($1, $2) AND h.account <= $4 ORDER BY h.account, h.version LIMIT $3",
          {Param::Int8(rows_seen == 0 ? from_ : account), Param::Int8(rows_seen == 0 ? kEnd : version),
           Param::Int8(kPage), Param::Int8(to_)});
      if (!rows.ok()) return rows.status();
      for (int n = 0; n < rows->size(); ++n) {
        const bool first = rows_seen++ == 0 || rows->Int(n, 0) != account;
        const Sums has{rows->Int(n, 3), rows->Int(n, 4), rows->Int(n, 5), rows->Int(n, 6)};
        const auto past = past_.find(rows->Int(n, 0));
        // Not met: of those that were read those that are left, and what differs of those that nothing asked for.
        const bool met = past == past_.end() ? has == Sums()
                         : rows->Int(n, 1) > past->second.version
                             ? past->second.rows.empty() && has == past->second.sums
                             : rows->Int(n, 1) <= past->second.version - static_cast<int64_t>(past->second.rows.size());
        const bool follows =
            met && (first ? rows->Int(n, 1) == 1 : rows->Int(n, 1) == version + 1 && rows->Time(n, 2) >= at);
        account = rows->Int(n, 0);
        version = rows->Int(n, 1);
        at = rows->Time(n, 2);
        if ((follows && rows->Bool(n, 9) && !rows->Bool(n, 10)) || (broken == account && !first)) continue;
        broken = account;  // once is enough
        Fault(fmt::format("the history of account {} of {} is wrong from version {} on", rows->Text(n, 8),
                          rows->Text(n, 7), version));
      }
      more = rows->size() == kPage;
      if (absl::Status told = Tell("history", rows_seen, rows_seen); !told.ok()) return told;
    }
    return absl::OkStatus();
  }

  absl::Status Currencies() {
    absl::StatusOr<Rows> wrong = connection_.Execute(
        "SELECT currency, sum(debits_posted)::text, sum(credits_posted)::text, sum(debits_pending)::text, "
        "sum(credits_pending)::text FROM ledger_accounts WHERE parent IS NULL GROUP BY currency "
        "HAVING sum(debits_posted) <> sum(credits_posted) OR sum(debits_pending) <> sum(credits_pending)");
    if (!wrong.ok()) return wrong.status();
    for (int n = 0; n < wrong->size(); ++n) {
      Fault(fmt::format("{} does not come to zero: debits {} and credits {} posted, {} and {} pending",
                        wrong->Text(n, 0), wrong->Text(n, 1), wrong->Text(n, 2), wrong->Text(n, 3), wrong->Text(n, 4)));
    }
    return Tell("currencies", 1, 1);
  }

  Connection& connection_;
  const std::function<bool(const VerifyProgress&)>& progress_;
  VerifyReport report_;
  int64_t from_ = 0, to_ = 0;  // accounts by number, behind and up to
  int64_t last_ = 0, sealed_ = 0, sealed_accounts_ = 0;
  absl::flat_hash_map<int64_t, Sums> own_;
  absl::flat_hash_map<int64_t, Past> past_;        // of accounts that keep their history
  absl::flat_hash_map<int64_t, int64_t> belongs_;  // to one of these
  absl::flat_hash_set<int64_t> seen_;              // accounts that were asked for the two
  absl::Status past_status_;
};

}  // namespace

absl::StatusOr<int64_t> PostgresLedgerStore::Seal(int64_t limit) {
  absl::StatusOr<Pool::Lease> lease = writes_.Acquire();
  if (!lease.ok()) return lease.status();
  Connection& connection = **lease;
  const auto seal = [&]() -> absl::StatusOr<int64_t> {
    // One process at a time; whoever comes meanwhile has nothing to do.
    absl::StatusOr<Rows> head = connection.Execute(
        "SELECT sealed, hash, next, accounts, next_account, next_before <= pg_snapshot_xmin(pg_current_snapshot()), "
        "next_before > pg_snapshot_xmax(pg_current_snapshot()) FROM ledger_seal FOR UPDATE SKIP LOCKED");
    if (!head.ok()) return head.status();
    if (head->empty()) return 0;
    const int64_t sealed = head->Int(0, 0), next = head->Int(0, 2), next_account = head->Int(0, 4);
    const bool ended = head->Bool(0, 5);
    // No transaction has such an id yet: it is of another server, from which this database was restored.
    const bool foreign = head->Bool(0, 6);
    int64_t count = 0, last = sealed;
    if (next > sealed && ended) {
      BatchHash hash(head->Bytes(0, 1));
      int64_t accounts = 0, last_account = head->Int(0, 3);
      const std::string read_accounts = ReadChainAccountsSql();
      for (bool more = true; more;) {
        absl::StatusOr<Rows> rows = connection.Execute(
            read_accounts, {Param::Int8(last_account), Param::Int8(next_account), Param::Int8(kPage)});
        if (!rows.ok()) return rows.status();
        for (int row = 0; row < rows->size(); ++row) hash.Add(DecodeChainAccount(*rows, row));
        accounts += rows->size();
        if (!rows->empty()) last_account = rows->Int(rows->size() - 1, 0);
        more = rows->size() == kPage;
      }
      last_account = std::max(last_account, next_account);
      if (absl::Status prepared = connection.Prepare("ledger_chain", ReadChainSql()); !prepared.ok()) return prepared;
      for (bool more = true; more;) {
        const int64_t page = std::min(kPage, limit - count);
        absl::StatusOr<Rows> rows =
            connection.ExecutePrepared("ledger_chain", {Param::Int8(last), Param::Int8(next), Param::Int8(page)});
        if (!rows.ok()) return rows.status();
        for (int row = 0; row < rows->size(); ++row) hash.Add(DecodeChainRow(*rows, row));
        count += rows->size();
        if (!rows->empty()) last = rows->Int(rows->size() - 1, 0);
        more = rows->size() == page && count < limit;
      }
      if (count < limit) last = next;  // numbers behind the last that were rolled back
      if (count > 0) {
        const std::string own = hash.Finish();
        absl::StatusOr<Rows> written = connection.Execute(
            "INSERT INTO ledger_batches (number, first_transfer, last_transfer, transfers, previous_hash, hash, "
            "accounts, last_account) SELECT batches + 1, sealed + 1, $1, $2, hash, $3, $4, $5 FROM ledger_seal",
            {Param::Int8(last), Param::Int8(count), Param::Bytes(own), Param::Int8(accounts),
             Param::Int8(last_account)});
        if (!written.ok()) return written.status();
        written =
            connection.Execute("UPDATE ledger_seal SET sealed = $1, batches = batches + 1, hash = $2, accounts = $3",
                               {Param::Int8(last), Param::Bytes(own), Param::Int8(last_account)});
        if (!written.ok()) return written.status();
      }
    }
    // Up to where the next call may go, if all that are under way have ended by then: first the numbers and the time,
    // then who is under way. Who takes a number later, or has taken one, had a transaction id before
    // (ledger_transfers_begin), and makes no balance of more than five seconds before that (ledger_post): so with the
    // end of those of the last mark all is settled that is older than it by so much.
    if (foreign || (ended && last >= next)) {
      absl::StatusOr<Rows> marked = connection.Execute(
          "UPDATE ledger_seal SET next = greatest(sealed, (SELECT COALESCE(max(number), 0) FROM ledger_transfers)), "
          "next_account = greatest(accounts, (SELECT COALESCE(max(number), 0) FROM ledger_accounts)), "
          "next_at = clock_timestamp(), "
          "settled_at = CASE WHEN $1 THEN greatest(settled_at, next_at - interval '5 seconds') ELSE settled_at END",
          {Param::Bool(ended)});
      if (!marked.ok()) return marked.status();
      marked = connection.Execute("UPDATE ledger_seal SET next_before = pg_snapshot_xmax(pg_current_snapshot())");
      if (!marked.ok()) return marked.status();
    }
    return count;
  };
  if (absl::Status begun = connection.ExecuteScript("BEGIN"); !begun.ok()) return begun;
  absl::StatusOr<int64_t> count = seal();
  if (count.ok()) {
    if (absl::Status committed = connection.ExecuteScript("COMMIT"); !committed.ok()) return committed;
  } else if (!connection.Broken()) {
    (void)connection.ExecuteScript("ROLLBACK");
  }
  return count;
}

absl::StatusOr<std::vector<SealedBatch>> PostgresLedgerStore::Batches(int64_t after, int limit) {
  absl::StatusOr<Rows> rows =
      Run(reads_, "ledger_batches",
          "SELECT number, first_transfer, last_transfer, transfers, previous_hash, hash, sealed_at FROM ledger_batches "
          "WHERE number > $1 ORDER BY number LIMIT $2",
          {Param::Int8(after), Param::Int8(limit)});
  if (!rows.ok()) return rows.status();
  std::vector<SealedBatch> batches;
  for (int row = 0; row < rows->size(); ++row) {
    batches.push_back({rows->Int(row, 0), rows->Int(row, 1), rows->Int(row, 2), rows->Int(row, 3),
                       Hex(rows->Bytes(row, 4)), Hex(rows->Bytes(row, 5)), rows->Time(row, 6)});
  }
  return batches;
}

absl::StatusOr<VerifyReport> PostgresLedgerStore::Verify(const std::function<bool(const VerifyProgress&)>& progress) {
  absl::StatusOr<std::unique_ptr<Connection>> connection = Connection::Open(url_, ProofConnectionOptions());
  if (!connection.ok()) return connection.status();
  return Verification(**connection, progress).Run();
}

}  // namespace waybill::storage
