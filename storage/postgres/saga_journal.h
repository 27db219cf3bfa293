// The saga journal in Postgres, by group commit: whatever arrives while a commit runs is written by the next one,
// finishes of old sagas and beginnings of new ones together in one pipeline with one fsync. Generic over the saga's
// payload: a SagaTables<P> says which tables it lives in and how its effects are booked.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fmt/format.h"
#include "runtime/batcher.h"
#include "runtime/clock.h"
#include "runtime/failpoint.h"
#include "runtime/random.h"
#include "saga/journal.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/params.h"
#include "storage/postgres/pool.h"
#include "storage/postgres/saga_rows.h"
#include "storage/postgres/sqlstate.h"
#include "storage/reasons.h"

namespace waybill::storage {

// An array parameter that a statement unnests: its column's name there, the element type, and a cast for what is not
// sent as its own type ("::jsonb", say; usually empty).
struct UnnestColumn {
  std::string name;
  Oid element;
  std::string cast;
};

// How sagas with payload P stand in Postgres. The header table has the columns of migrations/0001_orders.sql's
// order_sagas from `state` on, besides the payload's own; the log table those of order_saga_steps.
template <typename P>
class SagaTables {
 public:
  struct Sql {
    std::string sagas;  // header table
    std::string id;     // its key column, and the log table's column of the same name
    std::string log;

    // Payload columns of the header, written once by Begin.
    std::vector<UnnestColumn> begin;
    std::string dedupe;  // "client, idempotency_key": columns of a unique constraint, all text, all in `begin`

    // What Advance books besides the header. `effects` become columns of `ok`, the writes that are allowed, as `i`.
    std::vector<UnnestColumn> effects;
    // "INSERT … SELECT … FROM ok i": claims what another saga may hold, for the writes for which `claim_wanted` (over
    // `i`) holds, in `claim_order`; empty: this kind claims nothing. What cannot be had is a unique violation. The
    // careful form inserts only what `claim_possible` allows (empty: all), "ON CONFLICT … DO NOTHING" (`claim_lost`); a
    // write that wanted a row and got none is a lost claim.
    std::string claim;
    std::string claim_wanted;
    std::string claim_possible;
    std::string claim_order;
    std::string claim_lost;
    // Data-modifying statements, to be used as CTEs, over `done`: the rows of `ok` that were applied.
    std::vector<std::string> bookings;

    // "SELECT … FROM <sagas> s …", without WHERE, for Decode: the key, then kHeaderColumns, then the payload's.
    std::string select;
  };
  virtual ~SagaTables() = default;
  virtual const Sql& sql() const = 0;
  virtual void AddBegin(const P& payload, std::span<ArrayParam> columns) const = 0;
  virtual void AddEffects(const P& payload, std::span<ArrayParam> columns) const = 0;
  // The values of the `dedupe` columns.
  virtual std::vector<std::string> DedupeKey(const P& payload) const = 0;
  // UNREADABLE_ROW.
  virtual absl::StatusOr<saga::Record<P>> Decode(const Rows& rows, int row) const = 0;
};

struct SagaJournalOptions {
  int writers = 3;
  size_t queue_max = 10'000;
  size_t batch_max = 256;
  size_t join_min = 48;  // as in BatcherOptions
  // After every commit: how many items, and how long it took. On a writer's thread.
  std::function<void(size_t items, absl::Duration took)> on_commit = [](size_t, absl::Duration) {};
  // A write failed and is tried again, or the data was refused.
  std::function<void(const absl::Status&)> on_error = [](const absl::Status&) {};
  // So many writes of a batch had taken effect in an earlier try, whose answer was lost.
  std::function<void(size_t)> on_repeated = [](size_t) {};
  // One write will never be made: its data was refused, or a constraint.
  std::function<void(const absl::Status&)> on_refused = [](const absl::Status&) {};
  // How many steps the definition has. A saga that stands beyond them is one of a newer version.
  int steps = std::numeric_limits<int>::max();
  // A claimed saga that this version cannot read is left alone for so long, for a newer version to claim it, and marked
  // for a person.
  absl::Duration set_aside = absl::Minutes(1);
  // It was; why, and whether it had been marked before. On the claiming thread.
  std::function<void(const absl::Status& why, bool marked)> on_unreadable = [](const absl::Status&, bool) {};
  // Each write gets a number of its own, from here on; a random start keeps processes apart.
  uint64_t first_write_id = EntropySeed();
  saga::GapHook in_gap = [](saga::Gap) { return absl::OkStatus(); };
};

// The SQL that the journal runs, built once from the tables' description. Separate from the journal, so that a test can
// read it. Begin and advance come in two forms with the same effect. The quick one takes it that every key is new and
// every claim is free; when one is not, it fails as a whole with a unique violation. The careful one answers for each.
struct SagaJournalSql {
  std::string begin, begin_quick, advance, advance_quick, advance_unfenced, find_by_key, states, claim_expired,
      claim_one, far_leases, load_claimed, set_aside, renew, release, load, log;
  std::vector<Oid> begin_oids, advance_oids;
};
template <typename P>
SagaJournalSql BuildSagaJournalSql(const typename SagaTables<P>::Sql& t);

template <typename P>
class PostgresSagaJournal final : public saga::Journal<P> {
 public:
  using BeginDone = absl::AnyInvocable<void(absl::StatusOr<std::optional<saga::Record<P>>>)>;
  using AdvanceDone = absl::AnyInvocable<void(absl::StatusOr<saga::WriteResult>)>;

  // Opens the writers' connections. `pool` serves the synchronous calls but Renew, which has a connection of its own.
  static absl::StatusOr<std::unique_ptr<PostgresSagaJournal>> Open(const SagaTables<P>& tables, saga::Lease lease,
                                                                   const std::string& url, Pool& pool,
                                                                   SagaJournalOptions options) {
    std::unique_ptr<PostgresSagaJournal> journal(new PostgresSagaJournal(tables, std::move(lease), url, pool, options));
    for (int i = 0; i < options.writers; ++i) {
      ConnectionOptions connection;
      connection.application_name = "waybill-journal";
      connection.commits = true;
      // Statements are planned once, perhaps while the tables are empty: without these the cached plan would read whole
      // tables for ever. Every table is reached by `= ANY($1)`, so no nested loop is wanted either.
      connection.settings = {{"plan_cache_mode", "force_generic_plan"},
                             {"enable_seqscan", "off"},
                             {"enable_nestloop", "off"},
                             {"enable_mergejoin", "off"},
                             {"jit", "off"}};
      auto opened = Connection::Open(url, connection);
      if (!opened.ok()) return opened.status();
      journal->writers_.push_back(std::make_unique<Writer>(*journal, *std::move(opened)));
      if (absl::Status prepared = journal->writers_.back()->Prepare(); !prepared.ok()) return prepared;
    }
    std::vector<BatchWriter<Op>*> writers;
    for (auto& writer : journal->writers_) writers.push_back(writer.get());
    BatcherOptions batching;
    batching.queue_max = options.queue_max;
    batching.batch_max = options.batch_max;
    batching.join_min = options.join_min;
    journal->batcher_ = std::make_unique<Batcher<Op>>(std::move(writers), batching);
    return journal;
  }

  ~PostgresSagaJournal() override { Stop(); }

  // Writes what is queued and joins the writers; what cannot be written completes with UNAVAILABLE.
  void Stop() {
    if (batcher_) batcher_->Stop();  // null: opening failed
  }

  size_t queue_depth() const { return batcher_->queue_depth(); }
  bool failing() const { return batcher_->retrying() > 0; }

  void Begin(const saga::Record<P>& record, BeginDone done) override {
    Op op{BeginOp{&record, std::move(done), std::optional<saga::Record<P>>()}};
    if (!batcher_->Offer(op)) std::get<BeginOp>(op.what).done(QueueFull());
  }

  // Never refused: a saga that runs must be able to finish, or the queue would fill up with what waits for it. Bounded
  // all the same, since every running saga has one write at most.
  void Advance(const saga::Write<P>& write, AdvanceDone done) override {
    const auto write_id = static_cast<int64_t>(next_write_id_.fetch_add(1, std::memory_order_relaxed));
    Op op{AdvanceOp{write, std::move(done), write_id, saga::WriteResult::kApplied}};
    if (!batcher_->OfferAlways(op)) std::get<AdvanceOp>(op.what).done(QueueFull());
  }

  absl::StatusOr<std::vector<saga::Record<P>>> ClaimExpired(bool own, size_t limit) override {
    absl::StatusOr<bool> far_too = FarLeasesStay();
    if (!far_too.ok()) return far_too.status();
    const std::string instance = lease_.instance + "/";
    absl::StatusOr<Claims> claims =
        RunClaim("claim_expired", sql_.claim_expired,
                 {Param::Text(owner_), LeaseMicros(), Param::Text(instance), Param::Bool(own),
                  Param::Int8(static_cast<int64_t>(limit)), Param::Bool(*far_too)});
    if (!claims.ok()) return claims.status();
    return std::move(claims->records);
  }

  absl::StatusOr<saga::Record<P>> Claim(const Uuid& id, saga::ClaimMode mode) override {
    absl::StatusOr<Claims> claims =
        RunClaim("claim_one", sql_.claim_one,
                 {Param::Text(owner_), LeaseMicros(), Param::Id(id), Param::Bool(mode == saga::ClaimMode::kTakeOver),
                  Param::Int4(options_.steps)});
    if (!claims.ok()) return claims.status();
    if (!claims->unreadable.ok()) return claims->unreadable;
    if (!claims->records.empty()) return std::move(claims->records.front());
    if (absl::Status lost = options_.in_gap(saga::Gap::kNotClaimed); !lost.ok()) return lost;
    auto record = Load(id);
    if (!record.ok() || saga::IsTerminal(record->state)) return record;
    if (absl::Status known = CheckStep(*record); !known.ok()) return known;
    return ReasonError("SAGA_LEASED", fmt::format("another process drives saga {}", id.ToString()));
  }

  absl::StatusOr<std::vector<Uuid>> Renew(std::span<const std::pair<Uuid, int64_t>> id_and_epoch) override {
    ArrayParam ids(kOidUuid), epochs(kOidInt8);
    for (const auto& [id, epoch] : id_and_epoch) {
      ids.AddId(id);
      epochs.AddInt(epoch);
    }
    auto connection = renewals_.Acquire();
    if (!connection.ok()) return connection.status();
    auto rows = (*connection)->Execute(sql_.renew, {Param(ids), Param(epochs), LeaseMicros()});
    if (!rows.ok()) return rows.status();
    std::vector<Uuid> lost;
    for (int row = 0; row < rows->size(); ++row) lost.push_back(rows->Id(row, 0));
    return lost;
  }

  absl::Status ReleaseAll() override { return Run(sql_.release, {Param::Text(owner_)}).status(); }

  absl::StatusOr<saga::Record<P>> Load(const Uuid& id) override {
    ArrayParam ids(kOidUuid);
    ids.AddId(id);
    auto rows = Run(sql_.load, {Param(ids)});
    if (!rows.ok()) return rows.status();
    if (rows->empty()) return ReasonError("SAGA_NOT_FOUND", fmt::format("no saga {}", id.ToString()));
    return tables_.Decode(*rows, 0);
  }

  absl::StatusOr<std::vector<saga::LogEntry>> LoadLog(const Uuid& id, int64_t from_seq) override {
    auto rows = Run(sql_.log, {Param::Id(id), Param::Int8(from_seq)});
    if (!rows.ok()) return rows.status();
    return DecodeLog(*rows);
  }

 private:
  struct BeginOp {
    const saga::Record<P>* record;
    BeginDone done;
    absl::StatusOr<std::optional<saga::Record<P>>> answer;
  };
  struct AdvanceOp {
    saga::Write<P> write;
    AdvanceDone done;
    int64_t id;  // of this write, however often it is tried
    saga::WriteResult result;
  };
  struct Op {
    std::variant<BeginOp, AdvanceOp> what;
  };
  struct Claims {
    std::vector<saga::Record<P>> records;
    absl::Status unreadable;  // why the first of those that were set aside cannot be read
  };

  class Writer final : public BatchWriter<Op> {
   public:
    Writer(PostgresSagaJournal& journal, std::unique_ptr<Connection> connection)
        : journal_(journal), connection_(std::move(connection)) {
      for (Oid oid : journal.sql_.begin_oids) begin_columns_.emplace_back(oid);
      for (Oid oid : journal.sql_.advance_oids) advance_columns_.emplace_back(oid);
    }

    absl::Status Prepare() {
      const bool fenced = !WAYBILL_FAULT("epoch_check_off");
      const SagaJournalSql& sql = journal_.sql_;
      if (!fenced) careful_batches_ = std::numeric_limits<int64_t>::max();
      for (const auto& [name, text] : {std::pair{kBegin, &sql.begin},
                                       {kBeginQuick, &sql.begin_quick},
                                       {kAdvance, fenced ? &sql.advance : &sql.advance_unfenced},
                                       {kAdvanceQuick, &sql.advance_quick}}) {
        if (auto status = connection_->Prepare(name, *text); !status.ok()) return status;
      }
      return absl::OkStatus();
    }

    BatchResult Write(std::span<Op> batch) override {
      const auto started = std::chrono::steady_clock::now();
      if (absl::Status connected = connection_->EnsureConnected(); !connected.ok()) return Fail(connected);
      Split(batch);
      const bool quick = careful_batches_ == 0;
      absl::Status written = WriteOnce(quick);
      if (quick && IsUniqueViolation(written)) {
        careful_batches_ = kCarefulBatches;
        written = WriteOnce(false);
      }
      if (!quick) --careful_batches_;
      if (!written.ok()) return Fail(written);
      journal_.options_.on_commit(batch.size(), absl::FromChrono(std::chrono::steady_clock::now() - started));
      return BatchResult::kWritten;
    }

    void Complete(Op& op, const absl::Status& status) override {
      if (auto* begin = std::get_if<BeginOp>(&op.what)) {
        if (status.ok()) {
          begin->done(std::move(begin->answer));
        } else {
          begin->done(status);
        }
      } else {
        auto& advance = std::get<AdvanceOp>(op.what);
        if (status.ok()) {
          advance.done(advance.result);
        } else {
          advance.done(status);
        }
      }
    }

    absl::Status BadDataError() override {
      journal_.options_.on_refused(last_error_);
      return last_error_;
    }

   private:
    static constexpr char kBegin[] = "begin", kBeginQuick[] = "begin_quick";
    static constexpr char kAdvance[] = "advance", kAdvanceQuick[] = "advance_quick";
    static constexpr size_t kAdvanceHeader = 12;  // columns of an advance before its effects
    // Repeated keys and lost claims come in crowds (clients that retry, replicas short of drivers), and a quick batch
    // that fails is written twice: so many batches are written carefully after one.
    static constexpr int64_t kCarefulBatches = 1'000;

    BatchResult Fail(const absl::Status& status) {
      last_error_ = status;
      journal_.options_.on_error(status);
      return ToBatchResult(status);
    }

    // Sorted, so that writers that meet on the same rows lock them in the same order.
    void Split(std::span<Op> batch) {
      begins_.clear();
      advances_.clear();
      for (Op& op : batch) {
        if (auto* begin = std::get_if<BeginOp>(&op.what)) {
          begins_.emplace_back(journal_.tables_.DedupeKey(begin->record->payload), begin);
        } else {
          advances_.push_back(&std::get<AdvanceOp>(op.what));
        }
      }
      std::sort(begins_.begin(), begins_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
      std::sort(advances_.begin(), advances_.end(),
                [](const auto* a, const auto* b) { return a->write.record->id < b->write.record->id; });
    }

    absl::Status WriteOnce(bool quick) {
      std::vector<Param> begin_params, advance_params;
      std::vector<Statement> statements;
      // Finishes first: they free what the new ones may want.
      if (!advances_.empty()) {
        FillAdvance();
        advance_params = {journal_.LeaseMicros()};
        for (const ArrayParam& column : advance_columns_) advance_params.push_back(column);
        statements.push_back({quick ? kAdvanceQuick : kAdvance, advance_params});
        WAYBILL_FAILPOINT("advance.before_commit");
      }
      if (!begins_.empty()) {
        FillBegin();
        begin_params = {Param::Text(journal_.owner_), journal_.LeaseMicros()};
        for (const ArrayParam& column : begin_columns_) begin_params.push_back(column);
        statements.push_back({quick ? kBeginQuick : kBegin, begin_params});
        WAYBILL_FAILPOINT("begin.before_commit");
      }
      auto results = connection_->Pipeline(statements);
      if (!results.ok()) return results.status();
      size_t at = 0;
      if (!advances_.empty()) {
        WAYBILL_FAILPOINT("advance.after_commit");
        if (absl::Status lost = journal_.options_.in_gap(saga::Gap::kAfterAdvance); !lost.ok()) return lost;
        if (absl::Status read = ReadAdvance((*results)[at++]); !read.ok()) return read;
      }
      if (!begins_.empty()) {
        WAYBILL_FAILPOINT("begin.after_commit");
        if (absl::Status lost = journal_.options_.in_gap(saga::Gap::kAfterBegin); !lost.ok()) return lost;
        for (auto& [key, op] : begins_) op->answer = std::optional<saga::Record<P>>();
        if (absl::Status read = quick ? absl::OkStatus() : ReadBegin((*results)[at]); !read.ok()) return read;
      }
      return absl::OkStatus();
    }

    void FillBegin() {
      for (ArrayParam& column : begin_columns_) column.Clear();
      for (auto& [key, op] : begins_) {
        const saga::Record<P>& record = *op->record;
        begin_columns_[0].AddId(record.id);
        AddOptionalText(begin_columns_[1], record.traceparent);
        begin_columns_[2].AddTime(record.created_at);
        journal_.tables_.AddBegin(record.payload, std::span(begin_columns_).subspan(3));
      }
    }

    void FillAdvance() {
      for (ArrayParam& column : advance_columns_) column.Clear();
      const size_t effects = journal_.tables_.sql().effects.size();
      std::span<ArrayParam> log = std::span(advance_columns_).subspan(kAdvanceHeader + effects);
      for (AdvanceOp* op : advances_) {
        const saga::Record<P>& record = *op->write.record;
        std::span<ArrayParam> header(advance_columns_);
        header[0].AddId(record.id);
        header[1].AddInt(record.epoch);
        header[2].AddInt(op->write.expected_seq);
        header[3].AddInt(record.seq);
        header[4].AddText(saga::Name(record.state));
        header[5].AddInt(record.step);
        header[6].AddInt(record.attempt);
        header[7].AddBool(record.needs_attention);
        AddOptionalText(header[8], record.failure.reason);
        AddOptionalText(header[9], record.failure.detail);
        header[10].AddTime(record.updated_at);
        header[11].AddInt(op->id);
        journal_.tables_.AddEffects(record.payload, header.subspan(kAdvanceHeader, effects));
        for (const saga::LogEntry& entry : op->write.log) {
          log[0].AddId(record.id);
          log[1].AddInt(entry.seq);
          log[2].AddText(entry.step);
          log[3].AddInt(entry.attempt);
          log[4].AddText(saga::Name(entry.outcome));
          log[5].AddText(saga::Name(entry.state));
          AddOptionalText(log[6], entry.detail);
          log[7].AddTime(entry.at);
        }
      }
    }

    static void AddOptionalText(ArrayParam& column, const std::string& text) {
      if (text.empty()) {
        column.AddNull();
      } else {
        column.AddText(text);
      }
    }

    // The statement answers the ids that were inserted. The others met their key, or themselves: the commit of an
    // earlier try whose answer was lost. An id is made once and at random, so it proves that; the epoch tells whether
    // another process has claimed the saga since.
    absl::Status ReadBegin(const Rows& inserted) {
      if (inserted.size() == static_cast<int>(begins_.size())) return absl::OkStatus();
      absl::flat_hash_set<Uuid> started;
      for (int row = 0; row < inserted.size(); ++row) started.insert(inserted.Id(row, 0));
      std::vector<std::pair<const std::vector<std::string>*, BeginOp*>> met;
      std::vector<ArrayParam> columns(begins_.front().first.size(), ArrayParam(kOidText));
      for (auto& [key, op] : begins_) {
        if (started.contains(op->record->id)) continue;
        met.emplace_back(&key, op);
        for (size_t i = 0; i < key.size(); ++i) columns[i].AddText(key[i]);
      }
      // Not on this connection: its planner settings suit the prepared statements only.
      auto rows = journal_.Run(journal_.sql_.find_by_key, std::vector<Param>(columns.begin(), columns.end()));
      if (!rows.ok()) return rows.status();
      size_t found = 0;
      absl::flat_hash_map<Uuid, std::vector<BeginOp*>> held;  // by the saga that has their key
      for (int row = 0; row < rows->size(); ++row) {
        const Uuid id = rows->Id(row, 0);
        std::vector<std::string> key;
        for (size_t i = 0; i < columns.size(); ++i) key.emplace_back(rows->Text(row, 2 + static_cast<int>(i)));
        for (auto& [wanted, op] : met) {
          if (*wanted != key) continue;
          ++found;
          if (id != op->record->id || rows->Int(row, 1) != op->record->epoch) {
            held[id].push_back(op);
          } else {
            journal_.options_.on_repeated(1);
          }
        }
      }
      const absl::Status vanished = ConnectionError("a saga's key vanished while it was looked up");
      if (found < met.size()) return vanished;
      if (held.empty()) return absl::OkStatus();
      ArrayParam ids(kOidUuid);
      for (const auto& [id, ops] : held) ids.AddId(id);
      rows = journal_.Run(journal_.sql_.load, {Param(ids)});
      if (!rows.ok()) return rows.status();
      for (int row = 0; row < rows->size(); ++row) {
        absl::StatusOr<saga::Record<P>> existing = journal_.tables_.Decode(*rows, row);
        for (BeginOp* op : held[rows->Id(row, 0)]) {
          if (existing.ok()) {
            op->answer = std::optional<saga::Record<P>>(*existing);
          } else {
            op->answer = existing.status();
          }
        }
      }
      return rows->size() == static_cast<int>(held.size()) ? absl::OkStatus() : vanished;
    }

    // The statement answers the ids that were applied; why another was not is read from its header.
    absl::Status ReadAdvance(const Rows& applied) {
      for (AdvanceOp* op : advances_) op->result = saga::WriteResult::kApplied;
      if (applied.size() == static_cast<int>(advances_.size())) return absl::OkStatus();
      absl::flat_hash_map<Uuid, AdvanceOp*> refused;
      for (AdvanceOp* op : advances_) {
        op->result = saga::WriteResult::kFenced;
        refused[op->write.record->id] = op;
      }
      for (int row = 0; row < applied.size(); ++row) {
        auto it = refused.find(applied.Id(row, 0));
        it->second->result = saga::WriteResult::kApplied;
        refused.erase(it);
      }
      ArrayParam ids(kOidUuid);
      for (auto& [id, op] : refused) ids.AddId(id);
      auto rows = journal_.Run(journal_.sql_.states, {Param(ids)});
      if (!rows.ok()) return rows.status();
      for (int row = 0; row < rows->size(); ++row) {
        AdvanceOp& op = *refused.at(rows->Id(row, 0));
        const saga::Record<P>& wanted = *op.write.record;
        if (rows->Int(row, 1) != wanted.epoch) continue;
        if (!rows->IsNull(row, 3) && rows->Int(row, 3) == op.id) {
          op.result = saga::WriteResult::kApplied;  // by an earlier try whose answer was lost
          journal_.options_.on_repeated(1);
        } else if (rows->Int(row, 2) == op.write.expected_seq) {
          op.result = saga::WriteResult::kConflict;
        }
      }
      return absl::OkStatus();
    }

    PostgresSagaJournal& journal_;
    std::unique_ptr<Connection> connection_;
    std::vector<ArrayParam> begin_columns_, advance_columns_;
    std::vector<std::pair<std::vector<std::string>, BeginOp*>> begins_;
    std::vector<AdvanceOp*> advances_;
    absl::Status last_error_;
    int64_t careful_batches_ = 0;  // still to be written
  };

  // A lease that ends further ahead than leases do was given by a clock that was ahead of the one that judges it now:
  // the server's was set back, or another server took over. Whoever holds it and lives renews it within a third of a
  // lease. What is still there after a whole one, by our own steady clock, is nobody's.
  absl::StatusOr<bool> FarLeasesStay() {
    absl::StatusOr<Rows> far = Run(sql_.far_leases, {LeaseMicros()});
    if (!far.ok()) return far.status();
    const SteadyTime now = SystemClock().Steady();
    std::lock_guard lock(far_mutex_);
    far_since_ = far->Bool(0, 0) ? std::min(far_since_, now) : SteadyTime::InfiniteFuture();
    return now - far_since_ >= lease_.duration;
  }

  // A renewal that takes too long is tried again while the lease lasts.
  static ConnectionOptions RenewalConnectionOptions(absl::Duration lease) {
    ConnectionOptions options = ReadConnectionOptions();
    options.application_name = "waybill-leases";
    // A renewal that a crash loses ends a lease early, which the epoch makes harmless: it waits for no disk, and not
    // for a synchronous standby that is gone.
    options.settings.emplace_back("synchronous_commit", "off");
    options.statement_timeout = std::clamp(lease / 3, absl::Seconds(1), options.statement_timeout);
    options.connect_timeout = std::min(options.connect_timeout, options.statement_timeout);
    return options;
  }

  PostgresSagaJournal(const SagaTables<P>& tables, saga::Lease lease, const std::string& url, Pool& pool,
                      SagaJournalOptions options)
      : tables_(tables),
        sql_(BuildSagaJournalSql<P>(tables.sql())),
        lease_(std::move(lease)),
        owner_(lease_.Owner()),
        pool_(pool),
        renewals_(url, RenewalConnectionOptions(lease_.duration), {.size = 1}),
        options_(std::move(options)),
        next_write_id_(options_.first_write_id) {}

  static absl::Status QueueFull() {
    ErrorDetail detail;
    detail.retry_after = absl::Milliseconds(250);
    return ReasonError("QUEUE_FULL", "the journal's queue is at its limit", std::move(detail));
  }

  Param LeaseMicros() const { return Param::Int8(absl::ToInt64Microseconds(lease_.duration)); }

  absl::StatusOr<Rows> Run(const std::string& sql, const std::vector<Param>& params) {
    auto connection = pool_.Acquire();
    if (!connection.ok()) return connection.status();
    return (*connection)->Execute(sql, params);
  }

  // Runs a statement that claims, and loads what it claimed in the same transaction and round trip. The claimed rows
  // are locked meanwhile, so the records are as of this very claim; and they hold all that the claim had to wait for,
  // which within one statement they would not: that sees the tables it joins as they were before it waited.
  absl::StatusOr<Claims> RunClaim(std::string_view name, const std::string& sql, const std::vector<Param>& params) {
    const std::string claim = fmt::format("{}.{}", tables_.sql().sagas, name);
    const std::string load = fmt::format("{}.load_claimed", tables_.sql().sagas);
    absl::StatusOr<std::vector<Rows>> results = std::vector<Rows>();
    {
      auto connection = pool_.Acquire();
      if (!connection.ok()) return connection.status();
      absl::Status prepared = (*connection)->Prepare(claim, sql);
      if (prepared.ok()) prepared = (*connection)->Prepare(load, sql_.load_claimed);
      if (!prepared.ok()) return prepared;
      results = (*connection)->Pipeline({Statement{claim, params}, Statement{load, {}}});
    }
    if (!results.ok()) return results.status();
    const Rows& rows = results->at(1);
    Claims claims;
    ArrayParam aside(kOidUuid);
    for (int at = 0; at < rows.size(); ++at) {
      absl::StatusOr<saga::Record<P>> record = tables_.Decode(rows, at);
      absl::Status known = record.ok() ? CheckStep(*record) : record.status();
      if (known.ok()) {
        claims.records.push_back(*std::move(record));
        // A running one calls nobody, unless it had been set aside.
        if (claims.records.back().state == saga::State::kRunning) claims.records.back().needs_attention = false;
        continue;
      }
      RowReader row(rows, at);
      aside.AddId(row.id());
      options_.on_unreadable(known, row.Bool(kNeedsAttentionColumn, "needs_attention"));
      claims.unreadable.Update(known);
    }
    if (aside.size() > 0) {
      // When this fails, its lease ends earlier.
      const Param pause = Param::Int8(absl::ToInt64Microseconds(options_.set_aside));
      absl::Status status = Run(sql_.set_aside, {Param(aside), pause, Param::Text(owner_)}).status();
      if (!status.ok()) options_.on_error(status);
    }
    if (rows.empty()) return claims;
    if (absl::Status lost = options_.in_gap(saga::Gap::kAfterClaim); !lost.ok()) return lost;
    return claims;
  }

  absl::Status CheckStep(const saga::Record<P>& record) const {
    if (record.step < options_.steps) return absl::OkStatus();
    return UnreadableRow(record.id, "step", fmt::format("is {}, and this version has {}", record.step, options_.steps));
  }

  const SagaTables<P>& tables_;
  const SagaJournalSql sql_;
  const saga::Lease lease_;
  const std::string owner_;
  Pool& pool_;
  Pool renewals_;
  std::mutex far_mutex_;
  SteadyTime far_since_ = SteadyTime::InfiniteFuture();  // leases end too far ahead
  const SagaJournalOptions options_;
  std::atomic<uint64_t> next_write_id_;
  std::vector<std::unique_ptr<Writer>> writers_;
  std::unique_ptr<Batcher<Op>> batcher_;
};

// --- The statements.

// "unnest($3::uuid[], $4::text[]) AS i(a, b)", numbering from `first`; appends the element types to `oids`.
std::string Unnest(const std::vector<UnnestColumn>& columns, std::string_view alias, int first, std::vector<Oid>& oids);
// "i.a::cast, i.b"
std::string UnnestValues(const std::vector<UnnestColumn>& columns, std::string_view alias);
std::string ColumnNames(const std::vector<UnnestColumn>& columns);

template <typename P>
SagaJournalSql BuildSagaJournalSql(const typename SagaTables<P>::Sql& t) {
  SagaJournalSql sql;
  std::vector<Oid> unused;

  std::vector<UnnestColumn> begin = {
      {t.id, kOidUuid, ""}, {"traceparent", kOidText, ""}, {"created_at", kOidTimestamptz, ""}};
  begin.insert(begin.end(), t.begin.begin(), t.begin.end());
  sql.begin_quick = fmt::format(
      "INSERT INTO {} (owner, lease_until, updated_at, {}) "
      "SELECT $1::text, now() + $2::bigint * interval '1 microsecond', i.created_at, {} FROM {}",
      t.sagas, ColumnNames(begin), UnnestValues(begin, "i"), Unnest(begin, "i", 3, sql.begin_oids));
  sql.begin = fmt::format("{} ON CONFLICT ({}) DO NOTHING RETURNING {}", sql.begin_quick, t.dedupe, t.id);

  std::vector<UnnestColumn> advance = {{t.id, kOidUuid, ""},
                                       {"epoch", kOidInt8, ""},
                                       {"expected_seq", kOidInt8, ""},
                                       {"seq", kOidInt8, ""},
                                       {"state", kOidText, "::saga_state"},
                                       {"step", kOidInt2, ""},
                                       {"attempt", kOidInt4, ""},
                                       {"needs_attention", kOidBool, ""},
                                       {"failure_reason", kOidText, ""},
                                       {"failure_detail", kOidText, ""},
                                       {"updated_at", kOidTimestamptz, ""},
                                       {"write_id", kOidInt8, ""}};
  advance.insert(advance.end(), t.effects.begin(), t.effects.end());
  std::string input = Unnest(advance, "i", 2, sql.advance_oids);
  std::vector<UnnestColumn> log = {{t.id, kOidUuid, ""},      {"seq", kOidInt8, ""},
                                   {"step", kOidText, ""},    {"attempt", kOidInt4, ""},
                                   {"outcome", kOidText, ""}, {"state", kOidText, "::saga_state"},
                                   {"detail", kOidText, ""},  {"at", kOidTimestamptz, ""}};
  std::string log_input = Unnest(log, "l", 2 + static_cast<int>(advance.size()), sql.advance_oids);
  const std::string move = fmt::format(
      "UPDATE {} s SET state = i.state::saga_state, step = i.step, attempt = i.attempt, seq = i.seq, "
      "needs_attention = i.needs_attention, failure_reason = i.failure_reason, failure_detail = i.failure_detail, "
      "updated_at = i.updated_at, write_id = i.write_id, lease_until = CASE WHEN i.state IN ('running', "
      "'closing', 'compensating') "
      "THEN now() + $1::bigint * interval '1 microsecond' END",
      t.sagas);
  std::string bookings;
  for (size_t n = 0; n < t.bookings.size(); ++n) bookings += fmt::format("booked{} AS ({}), ", n, t.bookings[n]);
  bookings += fmt::format("logged AS (INSERT INTO {} ({}) SELECT {} FROM {} WHERE l.{id} IN (SELECT {id} FROM done)) ",
                          t.log, ColumnNames(log), UnnestValues(log, "l"), log_input, fmt::arg("id", t.id));
  const std::string from_input =
      fmt::format("FROM {} WHERE s.{id} = i.{id} AND s.{id} = ANY($2::uuid[])", input, fmt::arg("id", t.id));
  const std::string fence = "AND s.epoch = i.epoch AND s.seq = i.expected_seq";

  sql.advance_quick = fmt::format(
      "WITH ok AS ({} {} {} RETURNING i.*), done AS NOT MATERIALIZED (SELECT * FROM ok), {}{}SELECT {} FROM ok", move,
      from_input, fence,
      t.claim.empty() ? "" : fmt::format("claimed AS ({} WHERE {} {}), ", t.claim, t.claim_wanted, t.claim_order),
      bookings, t.id);

  for (bool fenced : {true, false}) {
    // `ok` locks the headers before anything is claimed: a claim must not be booked for a saga that is not ours. The
    // update finds them by key again: where they stand may be newer than what the statement can see.
    std::string text = fmt::format(
        "WITH ok AS MATERIALIZED (SELECT i.* FROM {sagas} s, {input} "
        "WHERE s.{id} = i.{id} AND s.{id} = ANY($2::uuid[]) {fence} FOR UPDATE OF s), ",
        fmt::arg("sagas", t.sagas), fmt::arg("input", input), fmt::arg("id", t.id),
        fmt::arg("fence", fenced ? fence : ""));
    std::string not_lost;
    if (!t.claim.empty()) {
      text += fmt::format("claimed AS ({} WHERE {} AND ({}) {} {} RETURNING {}), ", t.claim, t.claim_wanted,
                          t.claim_possible.empty() ? "true" : t.claim_possible, t.claim_order, t.claim_lost, t.id);
      not_lost = fmt::format("WHERE NOT ({}) OR i.{} IN (SELECT {} FROM claimed)", t.claim_wanted, t.id, t.id);
    }
    text += fmt::format(
        "done AS MATERIALIZED (SELECT i.* FROM ok i {}), moved AS ({} FROM done i WHERE s.{id} = i.{id} "
        "AND s.{id} = ANY($2::uuid[]) RETURNING s.{id}), {}SELECT {id} FROM moved",
        not_lost, move, bookings, fmt::arg("id", t.id));
    (fenced ? sql.advance : sql.advance_unfenced) = std::move(text);
  }

  std::vector<UnnestColumn> key;
  for (const UnnestColumn& column : t.begin) {
    if (fmt::format(", {},", t.dedupe).find(fmt::format(", {},", column.name)) != std::string::npos)
      key.push_back(column);
  }
  sql.find_by_key = fmt::format("SELECT {}, epoch, {} FROM {} WHERE ({}) IN (SELECT * FROM {})", t.id, t.dedupe,
                                t.sagas, t.dedupe, Unnest(key, "k", 1, unused));
  sql.states = fmt::format("SELECT {0}, epoch, seq, write_id FROM {1} WHERE {0} = ANY($1::uuid[])", t.id, t.sagas);
  sql.load = fmt::format("{} WHERE s.{} = ANY($1::uuid[])", t.select, t.id);
  sql.log = fmt::format("SELECT {2}, {0} FROM {1} WHERE {2} = $1 AND seq >= $2 ORDER BY seq", kLogColumns, t.log, t.id);
  // Both hand the ids of what they claimed to `load_claimed`, which runs in the same transaction.
  const std::string claimed =
      fmt::format("SELECT set_config('waybill.claimed', COALESCE(array_agg({id})::text, '{{}}'), true) FROM claimed",
                  fmt::arg("id", t.id));
  sql.load_claimed = fmt::format("{} WHERE s.{} = ANY(current_setting('waybill.claimed')::uuid[])", t.select, t.id);
  // Those that need attention may have been set aside for longer than a lease.
  const std::string far = "NOT needs_attention AND lease_until > now() + 3 * {}::bigint * interval '1 microsecond'";
  sql.far_leases =
      fmt::format("SELECT EXISTS (SELECT 1 FROM {} WHERE {})", t.sagas, fmt::format(fmt::runtime(far), "$1"));
  sql.claim_expired = fmt::format(
      "WITH due AS MATERIALIZED (SELECT {id} FROM {sagas} WHERE lease_until IS NOT NULL AND (lease_until < now() "
      "OR ($6::bool AND {far}) "
      "OR ($4::bool AND starts_with(owner, $3::text) AND owner <> $1::text)) "
      "ORDER BY lease_until LIMIT $5::bigint FOR UPDATE SKIP LOCKED), "
      "claimed AS (UPDATE {sagas} s SET owner = $1::text, epoch = s.epoch + 1, "
      "lease_until = now() + $2::bigint * interval '1 microsecond' "
      "FROM due WHERE s.{id} = due.{id} RETURNING s.{id}) {claimed}",
      fmt::arg("id", t.id), fmt::arg("sagas", t.sagas), fmt::arg("claimed", claimed),
      fmt::arg("far", fmt::format(fmt::runtime(far), "$2")));
  // A succeeded saga has no lease to claim; raising its epoch fences whoever claimed it before.
  sql.claim_one = fmt::format(
      "WITH claimed AS (UPDATE {sagas} SET owner = $1::text, epoch = epoch + 1, "
      "lease_until = CASE WHEN lease_until IS NOT NULL THEN now() + $2::bigint * interval '1 microsecond' END "
      "WHERE {id} = $3::uuid AND state IN ('running', 'succeeded', 'closing', 'compensating') "
      "AND ($4::bool OR lease_until IS NULL OR lease_until < now() OR owner = $1::text) "
      // One at a step that this version lacks stays with the newer version's process that drives it.
      "AND step < $5::integer RETURNING {id}) {claimed}",
      fmt::arg("id", t.id), fmt::arg("sagas", t.sagas), fmt::arg("claimed", claimed));
  sql.set_aside = fmt::format(
      "UPDATE {} SET needs_attention = true, lease_until = now() + $2::bigint * interval '1 microsecond' "
      "WHERE {} = ANY($1::uuid[]) AND owner = $3::text AND lease_until IS NOT NULL",
      t.sagas, t.id);
  // Answers the ids that are no longer ours; one that has come to rest meanwhile still is. A row that somebody else
  // locks is passed over, lest all others wait for it: it is being written, which extends its lease, or claimed.
  sql.renew = fmt::format(
      "WITH input AS MATERIALIZED (SELECT * FROM unnest($1::uuid[], $2::bigint[]) AS i({id}, epoch)), "
      "held AS MATERIALIZED (SELECT s.{id} FROM {sagas} s JOIN input i ON s.{id} = i.{id} AND s.epoch = i.epoch "
      "WHERE s.{id} = ANY($1::uuid[]) AND s.lease_until IS NOT NULL ORDER BY s.{id} FOR UPDATE OF s SKIP LOCKED), "
      "renewed AS (UPDATE {sagas} s SET lease_until = now() + $3::bigint * interval '1 microsecond' FROM held "
      "WHERE s.{id} = held.{id}) SELECT {id} FROM input WHERE ({id}, epoch) NOT IN "
      "(SELECT s.{id}, s.epoch FROM {sagas} s WHERE s.{id} = ANY($1::uuid[]))",
      fmt::arg("id", t.id), fmt::arg("sagas", t.sagas));
  sql.release =
      fmt::format("UPDATE {} SET lease_until = now() WHERE lease_until IS NOT NULL AND owner = $1::text", t.sagas);
  return sql;
}

}  // namespace waybill::storage
