// The saga journal in Postgres, by group commit: whatever arrives while a commit runs is written by the next one,
// finishes of old sagas and beginnings of new ones, of all kinds, together in one pipeline with one fsync.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/batcher.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/ids.h"
#include "runtime/random.h"
#include "runtime/trace.h"
#include "saga/definition.h"
#include "saga/journal.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/params.h"
#include "storage/postgres/pool.h"
#include "storage/postgres/saga_journal_sql.h"
#include "storage/postgres/saga_tables.h"

namespace waybill::storage {

// A session that posts to the ledger takes the least number that no other session of the database has, for as long as
// it lives, and posts to the accounts of that number: so no two ever wait for each other there, in whatever order each
// of them comes by accounts in one transaction.
inline constexpr char kTakeLedgerShard[] =
    "SELECT set_config('waybill.ledger', (SELECT n::text FROM generate_series(0, 99999) AS n "
    "WHERE pg_try_advisory_lock(hashtext('waybill ledger shard'), n) LIMIT 1), false)";

struct SagaJournalOptions {
  int writers = 3;
  size_t queue_max = 10'000;
  size_t batch_max = 256;
  size_t join_min = 48;  // as in BatcherOptions, as is the next
  bool complete_beside = false;
  // What is booked posts to the ledger in the same commit (the triggers of migrations/0028_ledger.sql), to accounts of
  // each writer's own (kTakeLedgerShard).
  bool ledger = false;
  // With `ledger`: what an order holds when it is completed is split as well, so many parts per million for the
  // platform and the rest for its driver (migrations/0032_order_ends.sql).
  std::optional<int32_t> ledger_commission_ppm;
  // After every commit: how many items, and how long it took. On a writer's thread.
  std::function<void(size_t items, absl::Duration took)> on_commit = [](size_t, absl::Duration) {};
  // A write failed and is tried again, or the data was refused.
  std::function<void(const absl::Status&)> on_error = [](const absl::Status&) {};
  // So many writes of a batch had taken effect in an earlier try, whose answer was lost.
  std::function<void(size_t)> on_repeated = [](size_t) {};
  // One write will never be made: its data was refused, or a constraint.
  std::function<void(const absl::Status&)> on_refused = [](const absl::Status&) {};
  // A claimed saga that this version cannot read is left alone for so long, for a newer version to claim it, and marked
  // for a person.
  absl::Duration set_aside = kSetAside;
  // It was; why, and whether it had been marked before. On the claiming thread.
  std::function<void(const absl::Status& why, bool marked)> on_unreadable = [](const absl::Status&, bool) {};
  // Each write gets a number of its own, from here on; a random start keeps processes apart.
  uint64_t first_write_id = EntropySeed();
  // Each commit that carries a sampled saga is a trace of its own, linked to the spans of those that drive them; null:
  // not. Outlives the journal.
  Tracer* tracer = nullptr;
  saga::GapHook in_gap = [](saga::Gap) { return absl::OkStatus(); };
};

class PostgresSagaJournal final : public saga::Journal {
 public:
  // Opens the writers' connections. Each of `tables` is of another kind, and each kind is one of `kinds`; a saga of a
  // version that is not among them is left to whoever drives that. FAILED_PRECONDITION: the database knows a version
  // with other steps, which is only to be changed by a new version. `pool` serves the synchronous calls but Renew,
  // which has a connection of its own. All outlive the journal.
  static absl::StatusOr<std::unique_ptr<PostgresSagaJournal>> Open(const std::vector<const SagaTables*>& tables,
                                                                   const saga::Kinds& kinds, saga::Lease lease,
                                                                   const std::string& url, Pool& pool,
                                                                   const Loops& loops, SagaJournalOptions options);
  ~PostgresSagaJournal() override;

  // Writes what is queued and joins the writers; what cannot be written completes with UNAVAILABLE.
  void Stop();

  size_t queue_depth() const { return batcher_->queue_depth(); }
  bool failing() const { return batcher_->retrying() > 0; }

  void Begin(const saga::Record& record, BeginDone done) override;

  // Never refused: a saga that runs must be able to finish, or the queue would fill up with what waits for it. Bounded
  // all the same, since every running saga has one write at most.
  void Advance(const saga::Write& write, AdvanceDone done) override;

  using saga::Journal::ClaimExpired;
  absl::StatusOr<std::vector<std::unique_ptr<saga::Record>>> ClaimExpired(bool own, size_t limit,
                                                                          std::string_view of_kind) override;
  absl::StatusOr<std::unique_ptr<saga::Record>> Claim(const Uuid& id, saga::ClaimMode mode) override;
  absl::StatusOr<std::vector<Uuid>> Renew(std::span<const saga::Held> held) override;
  absl::StatusOr<saga::SignalResult> AddSignal(const Uuid& id, const saga::Signal& signal) override;
  absl::Status ReleaseAll() override;
  absl::StatusOr<std::unique_ptr<saga::Record>> Load(const Uuid& id) override;
  absl::StatusOr<std::vector<saga::LogEntry>> LoadLog(const Uuid& id, int64_t from_seq) override;

 private:
  struct BeginOp {
    const saga::Record* record;
    BeginDone done;
    absl::StatusOr<std::unique_ptr<saga::Record>> answer;
  };
  struct AdvanceOp {
    saga::Write write;
    AdvanceDone done;
    int64_t id;  // of this write, however often it is tried
    saga::WriteResult result;
  };
  struct Op {
    std::variant<BeginOp, AdvanceOp> what;
  };
  struct Claims {
    std::vector<std::unique_ptr<saga::Record>> records;
    absl::Status unreadable;  // why the first of those that were set aside cannot be read
  };

  struct Kind {
    explicit Kind(const SagaTables& of) : tables(of), sql(BuildSagaJournalSql(of.sql())) {}

    const SagaTables& tables;
    const SagaJournalSql sql;
    std::vector<const saga::Definition*> versions;
    std::mutex mutex;
    SteadyTime far_since = SteadyTime::InfiniteFuture();  // leases end too far ahead
  };

  class Writer;  // saga_writer.cc

  PostgresSagaJournal(const std::vector<const SagaTables*>& tables, const saga::Kinds& kinds, saga::Lease lease,
                      const std::string& url, Pool& pool, SagaJournalOptions options);

  // With a connection of its own, and all that it writes prepared.
  absl::StatusOr<std::unique_ptr<BatchWriter<Op>>> OpenWriter(const std::string& url);
  // Writes down the steps of each version, or finds them as they were written down before; and how far its table has
  // been swept, where nothing says so.
  absl::Status RecordDefinitions();
  // Whether this process drives that version, and it has such a step.
  absl::Status CheckKnown(const saga::Header& header) const;
  absl::StatusOr<Rows> LoadRows(const Kind& kind, const Uuid& id);
  // Null: none of this kind. SAGA_NOT_DRIVEN_HERE before its payload is looked at.
  absl::StatusOr<std::unique_ptr<saga::Record>> LoadDriven(const Kind& kind, const Uuid& id);
  static ArrayParam Versions(const Kind& kind);  // those that this process drives
  Param LeaseMicros() const;
  absl::StatusOr<Rows> Run(const std::string& sql, const std::vector<Param>& params);
  // What runs with every poll.
  absl::StatusOr<Rows> RunPrepared(const Kind& kind, std::string_view name, const std::string& sql,
                                   const std::vector<Param>& params);
  // A turn of it.
  absl::Status Sweep(const Kind& kind);
  absl::StatusOr<bool> FarLeasesStay(Kind& kind);
  absl::StatusOr<Claims> RunClaim(const Kind& kind, std::string_view name, const std::string& sql,
                                  const std::vector<Param>& params);
  // Null: none of this kind.
  absl::StatusOr<std::unique_ptr<saga::Record>> Load(const Kind& kind, const Uuid& id);

  std::vector<std::unique_ptr<Kind>> kinds_;
  const saga::Kinds& driven_;
  const saga::Lease lease_;
  const std::string owner_;
  Pool& pool_;
  Pool renewals_;
  const SagaJournalOptions options_;
  std::atomic<uint64_t> next_write_id_;
  std::vector<std::unique_ptr<BatchWriter<Op>>> writers_;
  std::unique_ptr<Batcher<Op>> batcher_;
};

}  // namespace waybill::storage
