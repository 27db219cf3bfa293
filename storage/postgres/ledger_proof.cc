// Sealing, and the proof that the ledger is whole.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
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
// Accounts whose sums Verify has in memory at once; where there are more, it reads the transfers so many times more.
constexpr int64_t kAccountsAtOnce = 1'000'000;

std::string ReadChainSql() {
  return fmt::format(
      "SELECT {} FROM ledger_transfers t WHERE t.number > $1 AND t.number <= $2 ORDER BY t.number LIMIT $3",
      kChainColumns);
}

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
    absl::StatusOr<Rows> counts = connection_.Execute(
        "SELECT COALESCE(max(number), 0), (SELECT COALESCE(max(number), 0) FROM ledger_transfers) "
        "FROM ledger_accounts");
    if (!counts.ok()) return counts.status();
    const int64_t accounts = counts->Int(0, 0);
    last_ = counts->Int(0, 1);
    for (int64_t from = 0; from == 0 || from < accounts; from += kAccountsAtOnce) {
      from_ = from;
      to_ = from + kAccountsAtOnce;
      own_.clear();
      if (absl::Status chain = Chain(from == 0); !chain.ok()) return chain;
      if (absl::Status balances = Snapshot(from == 0); !balances.ok()) return balances;
    }
    return std::move(report_);
  }

 private:
  absl::Status Tell(std::string_view stage, int64_t done, int64_t of) {
    if (progress_ && !progress_({stage, done, of})) return absl::CancelledError("the verification was ended");
    return absl::OkStatus();
  }

  void Fault(std::string what) {
    if (report_.faults.size() < VerifyReport::kFaultsMax) {
      report_.faults.push_back(std::move(what));
    } else {
      report_.more_faults = true;
    }
  }

  absl::Status ForEach(int64_t after, int64_t last, const std::function<void(const ChainRow&)>& row) {
    const std::string sql = ReadChainSql();
    if (absl::Status prepared = connection_.Prepare("ledger_chain", sql); !prepared.ok()) return prepared;
    while (after < last) {
      absl::StatusOr<Rows> rows =
          connection_.ExecutePrepared("ledger_chain", {Param::Int8(after), Param::Int8(last), Param::Int8(kPage)});
      if (!rows.ok()) return rows.status();
      for (int n = 0; n < rows->size(); ++n) row(DecodeChainRow(*rows, n));
      if (rows->size() < kPage) break;
      after = rows->Int(rows->size() - 1, 0);
    }
    return absl::OkStatus();
  }

  void Count(const ChainRow& row) {
    if (row.phase == "refused") return;
    const bool posts = row.phase == "single" || row.phase == "post";
    const int64_t posted = posts ? row.amount : 0;
    const int64_t pending = row.phase == "pending" ? row.amount : row.phase == "single" ? 0 : -row.released;
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
    sealed_ = 0;
    while (true) {
      absl::StatusOr<Rows> batches = connection_.Execute(
          "SELECT number, first_transfer, last_transfer, transfers, previous_hash, hash "
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
        if (tell && batches->Int(n, 1) != sealed_ + 1) {
          Fault(fmt::format("batch {} begins at transfer {}, not behind {}", at, batches->Int(n, 1), sealed_));
        }
        BatchHash of(hash);
        int64_t transfers = 0;
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
          if (of.Finish() != batches->Bytes(n, 5))
            Fault(fmt::format("the transfers of batch {} are not as sealed", at));
          ++report_.batches;
          report_.last_hash = Hex(batches->Bytes(n, 5));
        }
        number = at;
        sealed_ = last;
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
        "COALESCE((SELECT max(last_transfer) FROM ledger_batches), 0) FROM ledger_seal s");
    if (!head.ok()) return head.status();
    if (head->empty()) {
      Fault("the head of the chain is not there");
      return absl::OkStatus();
    }
    if (tell && head->Int(0, 0) != head->Int(0, 4)) {
      Fault(fmt::format("the head of the chain says that all up to {} is sealed, and its batches reach {}",
                        head->Int(0, 0), head->Int(0, 4)));
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
    if (!tell) return absl::OkStatus();
    if (absl::Status pending = Pending(head->Int(0, 3)); !pending.ok()) return pending;
    return Currencies();
  }

  absl::Status Balances() {
    // Those that belong to another count there too; they have greater numbers than it.
    absl::flat_hash_map<int64_t, Sums> theirs;
    for (int64_t after = 0;;) {
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
  absl::Status Pending(int64_t last) {
    for (int64_t after = 0; after < last; after += kPage) {
      absl::StatusOr<Rows> wrong = connection_.Execute(
          "SELECT t.client, t.id FROM ledger_transfers t LEFT JOIN ledger_transfers p ON p.client = t.client AND "
          "p.id = t.pending_id WHERE t.number > $1 AND t.number <= $2 AND t.pending_id IS NOT NULL AND "
          "(p.phase IS DISTINCT FROM 'pending' OR p.amount <> t.released OR p.debit_account <> t.debit_account OR "
          "p.credit_account <> t.credit_account OR p.currency <> t.currency) "
          "UNION ALL SELECT t.client, t.id FROM ledger_transfers t LEFT JOIN ledger_transfers e ON "
          "e.client = t.client AND e.pending_id = t.id LEFT JOIN ledger_expiries x ON x.transfer = t.number "
          "WHERE t.number > $1 AND t.number <= $2 AND t.phase = 'pending' AND t.timeout_seconds IS NOT NULL AND "
          "(e.number IS NULL) <> (x.transfer IS NOT NULL)",
          {Param::Int8(after), Param::Int8(after + kPage)});
      if (!wrong.ok()) return wrong.status();
      for (int n = 0; n < wrong->size(); ++n) {
        Fault(fmt::format("transfer {} of {} and what it ends, or what ends it, do not fit", wrong->Text(n, 1),
                          wrong->Text(n, 0)));
      }
      if (absl::Status told = Tell("pending", after, last); !told.ok()) return told;
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
  int64_t last_ = 0, sealed_ = 0;
  absl::flat_hash_map<int64_t, Sums> own_;
};

}  // namespace

absl::StatusOr<int64_t> PostgresLedgerStore::Seal(int64_t limit) {
  absl::StatusOr<Pool::Lease> lease = writes_.Acquire();
  if (!lease.ok()) return lease.status();
  Connection& connection = **lease;
  const auto seal = [&]() -> absl::StatusOr<int64_t> {
    // One process at a time; whoever comes meanwhile has nothing to do.
    absl::StatusOr<Rows> head = connection.Execute(
        "SELECT sealed, batches, hash, next, next_before <= pg_snapshot_xmin(pg_current_snapshot()) "
        "FROM ledger_seal FOR UPDATE SKIP LOCKED");
    if (!head.ok()) return head.status();
    if (head->empty()) return 0;
    const int64_t sealed = head->Int(0, 0), next = head->Int(0, 3);
    int64_t count = 0, last = sealed;
    if (next > sealed && head->Bool(0, 4)) {
      if (absl::Status prepared = connection.Prepare("ledger_chain", ReadChainSql()); !prepared.ok()) return prepared;
      BatchHash hash(head->Bytes(0, 2));
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
        absl::StatusOr<Rows> written = connection.Execute(
            "WITH batch AS (INSERT INTO ledger_batches (number, first_transfer, last_transfer, transfers, "
            "previous_hash, hash) SELECT batches + 1, sealed + 1, $1, $2, hash, $3 FROM ledger_seal RETURNING number) "
            "UPDATE ledger_seal s SET sealed = $1, batches = b.number, hash = $3 FROM batch b",
            {Param::Int8(last), Param::Int8(count), Param::Bytes(hash.Finish())});
        if (!written.ok()) return written.status();
      }
    }
    // Up to where the next call may go, if all that are under way have ended by then: first the number, then who is
    // under way. Who takes a number later, or has taken one, had a transaction id before (ledger_transfers_begin).
    if (next <= last || next <= sealed) {
      absl::StatusOr<Rows> marked = connection.Execute(
          "UPDATE ledger_seal SET next = greatest(sealed, (SELECT COALESCE(max(number), 0) FROM ledger_transfers))");
      if (!marked.ok()) return marked.status();
      marked = connection.Execute(
          "UPDATE ledger_seal SET next_before = pg_snapshot_xmax(pg_current_snapshot()) WHERE next > sealed");
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
