#include "storage/postgres/saga_journal.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "storage/postgres/audit_log.h"
#include "storage/postgres/saga_rows.h"
#include "storage/postgres/sqlstate.h"

namespace waybill::storage {
namespace {

absl::Status JournalFull() { return domain::QueueFull("the journal's queue is at its limit", absl::Milliseconds(250)); }

// A renewal that takes too long is tried again while the lease lasts.
ConnectionOptions RenewalConnectionOptions(absl::Duration lease) {
  ConnectionOptions options = ReadConnectionOptions();
  options.application_name = "waybill-leases";
  // A renewal that a crash loses ends a lease early, which the epoch makes harmless: it waits for no disk, and not for
  // a synchronous standby that is gone.
  options.settings.emplace_back("synchronous_commit", "off");
  options.statement_timeout = std::clamp(lease / 3, absl::Seconds(1), options.statement_timeout);
  options.connect_timeout = std::min(options.connect_timeout, options.statement_timeout);
  return options;
}

std::string_view Name(saga::ClaimMode mode) {
  return mode == saga::ClaimMode::kTakeOver ? "take_over" : mode == saga::ClaimMode::kWoken ? "woken" : "expired";
}

}  // namespace

absl::StatusOr<std::unique_ptr<PostgresSagaJournal>> PostgresSagaJournal::Open(
    const std::vector<const SagaTables*>& tables, const saga::Kinds& kinds, saga::Lease lease, const std::string& url,
    Pool& pool, const Loops& loops, SagaJournalOptions options) {
  std::unique_ptr<PostgresSagaJournal> journal(
      new PostgresSagaJournal(tables, kinds, std::move(lease), url, pool, options));
  if (absl::Status recorded = journal->RecordDefinitions(); !recorded.ok()) return recorded;
  for (int i = 0; i < options.writers; ++i) {
    absl::StatusOr<std::unique_ptr<BatchWriter<Op>>> writer = journal->OpenWriter(url);
    if (!writer.ok()) return writer.status();
    journal->writers_.push_back(*std::move(writer));
  }
  std::vector<BatchWriter<Op>*> writers;
  for (auto& writer : journal->writers_) writers.push_back(writer.get());
  BatcherOptions batching;
  batching.queue_max = options.queue_max;
  batching.batch_max = options.batch_max;
  batching.join_min = options.join_min;
  batching.complete_beside = options.complete_beside;
  journal->batcher_ = std::make_unique<Batcher<Op>>(std::move(writers), batching, loops);
  return journal;
}

PostgresSagaJournal::PostgresSagaJournal(const std::vector<const SagaTables*>& tables, const saga::Kinds& kinds,
                                         saga::Lease lease, const std::string& url, Pool& pool,
                                         SagaJournalOptions options)
    : driven_(kinds),
      lease_(std::move(lease)),
      owner_(lease_.Owner()),
      pool_(pool),
      renewals_(url, RenewalConnectionOptions(lease_.duration), {.size = 1}),
      options_(std::move(options)),
      next_write_id_(options_.first_write_id) {
  for (const SagaTables* of_kind : tables) {
    if (!saga::IsKindName(of_kind->kind())) std::abort();  // a bug
    auto kind = std::make_unique<Kind>(*of_kind);
    for (const saga::Definition& definition : kinds.all()) {
      if (definition.kind == of_kind->kind()) kind->versions.push_back(&definition);
    }
    if (kind->versions.empty()) std::abort();  // tables of a kind that this process does not drive: a bug
    kinds_.push_back(std::move(kind));
  }
}

absl::Status PostgresSagaJournal::RecordDefinitions() {
  for (const std::unique_ptr<Kind>& kind : kinds_) {
    // Without one nothing is taken for young. From the least id on the first sweep finds whatever there is.
    absl::Status marked =
        Run("INSERT INTO saga_marks (sagas, mark, next) SELECT $1::text, least, least "
            "FROM (SELECT '00000000-0000-0000-0000-000000000000'::uuid) AS ids (least) ON CONFLICT DO NOTHING",
            {Param::Text(kind->tables.sql().sagas)})
            .status();
    if (!marked.ok()) return marked;
    for (const saga::Definition* definition : kind->versions) {
      ArrayParam steps(kOidText);
      ArrayParam beside(kOidBool);
      for (const saga::Step& step : definition->steps) {
        steps.AddText(step.name);
        beside.AddBool(step.beside);
      }
      const std::vector<Param> params = {Param::Text(definition->kind), Param::Int4(definition->version), steps,
                                         beside};
      absl::StatusOr<Rows> rows =
          Run("INSERT INTO saga_definitions (kind, version, steps, beside) VALUES ($1::text, $2::integer, $3::text[], "
              "CASE WHEN true = ANY($4::boolean[]) THEN $4::boolean[] END) ON CONFLICT DO NOTHING",
              params);
      if (!rows.ok()) return rows.status();
      rows =
          Run("SELECT there = here, there, here FROM (SELECT "
              "(SELECT string_agg(CASE WHEN b THEN '+' ELSE '' END || name, ', ' ORDER BY n) "
              "FROM unnest(d.steps, d.beside) WITH ORDINALITY AS s(name, b, n)) AS there, "
              "(SELECT string_agg(CASE WHEN b THEN '+' ELSE '' END || name, ', ' ORDER BY n) "
              "FROM unnest($3::text[], $4::boolean[]) WITH ORDINALITY AS s(name, b, n)) AS here "
              "FROM saga_definitions d WHERE d.kind = $1::text AND d.version = $2::integer) AS named",
              params);
      if (!rows.ok()) return rows.status();
      if (rows->empty() || rows->Bool(0, 0)) continue;
      return absl::FailedPreconditionError(fmt::format(
          "the steps of version {} of {} are {} here and {} in the database (table saga_definitions; + stands before "
          "what is done at the same time as the step before it): other steps are another version",
          definition->version, definition->kind, rows->Text(0, 2), rows->Text(0, 1)));
    }
  }
  return absl::OkStatus();
}

absl::Status PostgresSagaJournal::CheckKnown(const saga::Header& header) const {
  if (absl::Status driven = driven_.CheckDriven(header); !driven.ok()) return driven;
  const saga::Definition* definition = driven_.Find(header.kind, header.version);
  const int steps = static_cast<int>(definition->steps.size());
  if (header.step >= steps) {
    return UnreadableRow(header.id, "step", fmt::format("is {}, and there are {}", header.step, steps));
  }
  if (definition->HasBranchesOf(header)) return absl::OkStatus();
  return UnreadableRow(header.id, "branches", "are not those of the steps that are under way");
}

ArrayParam PostgresSagaJournal::Versions(const Kind& kind) {
  ArrayParam versions(kOidInt2);
  for (const saga::Definition* definition : kind.versions) versions.AddInt(definition->version);
  return versions;
}

PostgresSagaJournal::~PostgresSagaJournal() { Stop(); }

void PostgresSagaJournal::Stop() {
  if (batcher_) batcher_->Stop();  // null: opening failed
}

void PostgresSagaJournal::Begin(const saga::Record& record, BeginDone done) {
  Op op{BeginOp{&record, std::move(done), nullptr}};
  if (!batcher_->Offer(op)) std::get<BeginOp>(op.what).done(JournalFull());
}

void PostgresSagaJournal::Advance(const saga::Write& write, AdvanceDone done) {
  const auto write_id = static_cast<int64_t>(next_write_id_.fetch_add(1, std::memory_order_relaxed));
  Op op{AdvanceOp{write, std::move(done), write_id, saga::WriteResult::kApplied}};
  if (!batcher_->OfferAlways(op)) std::get<AdvanceOp>(op.what).done(JournalFull());
}

// --- Claiming.

absl::StatusOr<std::vector<std::unique_ptr<saga::Record>>> PostgresSagaJournal::ClaimExpired(bool own, size_t limit,
                                                                                             std::string_view of_kind) {
  const std::string instance = lease_.instance + "/";
  std::vector<std::unique_ptr<saga::Record>> claimed;
  absl::Status failed;
  // What was claimed is ours, so it is handed out whatever becomes of the rest. False: it failed, or there is room for
  // no more.
  const auto take = [&](absl::StatusOr<Claims> claims) {
    if (claims.ok()) {
      std::move(claims->records.begin(), claims->records.end(), std::back_inserter(claimed));
      return claimed.size() < limit;
    }
    options_.on_error(claims.status());
    failed.Update(claims.status());
    return false;
  };
  for (const std::unique_ptr<Kind>& kind : kinds_) {
    if (!of_kind.empty() && kind->tables.kind() != of_kind) continue;
    const ArrayParam versions = Versions(*kind);
    const auto room = [&] { return Param::Int8(static_cast<int64_t>(limit - claimed.size())); };
    if (claimed.size() >= limit) break;
    if (absl::Status swept = Sweep(*kind); !swept.ok()) {  // what was due before still is
      options_.on_error(swept);
      failed.Update(swept);
    }
    const absl::StatusOr<bool> far_too = FarLeasesStay(*kind);
    if (!take(!far_too.ok() ? absl::StatusOr<Claims>(far_too.status())
                            : RunClaim(*kind, "claim_expired", kind->sql.claim_expired,
                                       {Param::Text(owner_), LeaseMicros(), Param::Text(instance), Param::Bool(own),
                                        room(), Param::Bool(*far_too), versions}))) {
      continue;
    }
    if (own && !take(RunClaim(*kind, "claim_young", kind->sql.claim_young,
                              {Param::Text(owner_), LeaseMicros(), Param::Text(instance), room(), versions}))) {
      continue;
    }
    // Not while there is more to claim: it would look past that.
    if (absl::Status postponed = RunPrepared(*kind, "postpone", kind->sql.postpone, {}).status(); !postponed.ok()) {
      options_.on_error(postponed);
    }
    take(RunClaim(*kind, "claim_woken", kind->sql.claim_woken, {Param::Text(owner_), LeaseMicros(), room(), versions}));
  }
  if (claimed.empty() && !failed.ok()) return failed;
  return claimed;
}

absl::StatusOr<std::unique_ptr<saga::Record>> PostgresSagaJournal::Claim(const Uuid& id, saga::ClaimMode mode) {
  for (const std::unique_ptr<Kind>& kind : kinds_) {
    const ArrayParam versions = Versions(*kind);
    ArrayParam steps(kOidInt4);
    for (const saga::Definition* definition : kind->versions) {
      steps.AddInt(static_cast<int64_t>(definition->steps.size()));
    }
    absl::StatusOr<Claims> claims =
        RunClaim(*kind, "claim_one", kind->sql.claim_one,
                 {Param::Text(owner_), LeaseMicros(), Param::Id(id), Param::Text(Name(mode)), versions, steps});
    if (!claims.ok()) return claims.status();
    if (!claims->unreadable.ok()) return claims->unreadable;
    if (!claims->records.empty()) return std::move(claims->records.front());
  }
  if (absl::Status lost = options_.in_gap(saga::Gap::kNotClaimed); !lost.ok()) return lost;
  for (const std::unique_ptr<Kind>& kind : kinds_) {
    absl::StatusOr<std::unique_ptr<saga::Record>> record = LoadDriven(*kind, id);
    if (!record.ok()) return record.status();
    if (*record == nullptr) continue;
    if (saga::IsTerminal((*record)->state)) return record;
    return domain::ReasonError("SAGA_LEASED", fmt::format("another process drives saga {}", id.ToString()));
  }
  return domain::ReasonError("SAGA_NOT_FOUND", fmt::format("no saga {}", id.ToString()));
}

absl::Status PostgresSagaJournal::Sweep(const Kind& kind) {
  for (const auto& [name, sql] : {std::pair{"sweep_ahead", &kind.sql.sweep_ahead},
                                  {"sweep", &kind.sql.sweep},
                                  {"note_next", &kind.sql.note_next},
                                  {"note_horizon", &kind.sql.note_horizon}}) {
    if (absl::Status swept = RunPrepared(kind, name, *sql, {LeaseMicros()}).status(); !swept.ok()) return swept;
  }
  return absl::OkStatus();
}

// A lease that ends further ahead than leases do was given by a clock that was ahead of the one that judges it now: the
// server's was set back, or another server took over. Whoever holds it and lives renews it within a third of a lease.
// What is still there after a whole one, by our own steady clock, is nobody's.
absl::StatusOr<bool> PostgresSagaJournal::FarLeasesStay(Kind& kind) {
  const ArrayParam versions = Versions(kind);
  absl::StatusOr<Rows> far = Run(kind.sql.far_leases, {LeaseMicros(), versions});
  if (!far.ok()) return far.status();
  const SteadyTime now = SystemClock().Steady();
  std::lock_guard lock(kind.mutex);
  kind.far_since = far->Bool(0, 0) ? std::min(kind.far_since, now) : SteadyTime::InfiniteFuture();
  return now - kind.far_since >= lease_.duration;
}

// Runs a statement that claims, and loads what it claimed in the same transaction and round trip. The claimed rows are
// locked meanwhile, so the records are as of this very claim; and they hold all that the claim had to wait for, which
// within one statement they would not: that sees the tables it joins as they were before it waited.
absl::StatusOr<PostgresSagaJournal::Claims> PostgresSagaJournal::RunClaim(const Kind& kind, std::string_view name,
                                                                          const std::string& sql,
                                                                          const std::vector<Param>& params) {
  const std::string claim = fmt::format("{}.{}", kind.tables.kind(), name);
  const std::string load = fmt::format("{}.load_claimed", kind.tables.kind());
  const std::string said = fmt::format("{}.said_claimed", kind.tables.kind());
  absl::StatusOr<std::vector<Rows>> results = std::vector<Rows>();
  {
    auto connection = pool_.Acquire();
    if (!connection.ok()) return connection.status();
    absl::Status prepared = (*connection)->Prepare(claim, sql);
    if (prepared.ok()) prepared = (*connection)->Prepare(load, kind.sql.load_claimed);
    if (prepared.ok()) prepared = (*connection)->Prepare(said, kind.sql.said_claimed);
    if (!prepared.ok()) return prepared;
    results = (*connection)->Pipeline({Statement{claim, params}, Statement{load, {}}, Statement{said, {}}});
  }
  if (!results.ok()) return results.status();
  const Rows& rows = results->at(1);
  const Rows& signals = results->at(2);
  absl::flat_hash_map<Uuid, absl::StatusOr<saga::KeptSignal>> said_of;
  for (int at = 0; at < signals.size(); ++at) said_of.emplace(signals.Id(at, 0), DecodeSignal(signals, at));
  Claims claims;
  ArrayParam aside(kOidUuid);
  for (int at = 0; at < rows.size(); ++at) {
    absl::StatusOr<std::unique_ptr<saga::Record>> record = kind.tables.Decode(rows, at);
    absl::Status known = record.ok() ? CheckKnown(**record) : record.status();
    if (auto signal = said_of.find(rows.Id(at, 0)); known.ok() && signal != said_of.end()) {
      known = signal->second.status();
      if (known.ok()) (*record)->signal = *signal->second;
    }
    if (known.ok()) {
      // The mark of a running one says that it could not be read, or that its write was refused. Now it is read; and
      // who drives it marks it again if it is refused again.
      if ((*record)->state == saga::State::kRunning) (*record)->needs_attention = false;
      claims.records.push_back(*std::move(record));
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
    absl::Status status = Run(kind.sql.set_aside, {Param(aside), pause, Param::Text(owner_)}).status();
    if (!status.ok()) options_.on_error(status);
  }
  if (rows.empty()) return claims;
  if (absl::Status lost = options_.in_gap(saga::Gap::kAfterClaim); !lost.ok()) return lost;
  return claims;
}

// --- Leases.

absl::StatusOr<std::vector<Uuid>> PostgresSagaJournal::Renew(std::span<const saga::Held> held) {
  std::vector<Uuid> lost;
  for (const std::unique_ptr<Kind>& kind : kinds_) {
    ArrayParam ids(kOidUuid), epochs(kOidInt8);
    for (const saga::Held& one : held) {
      if (one.kind != kind->tables.kind()) continue;
      ids.AddId(one.id);
      epochs.AddInt(one.epoch);
    }
    if (ids.size() == 0) continue;
    auto connection = renewals_.Acquire();
    if (!connection.ok()) return connection.status();
    auto rows = (*connection)->Execute(kind->sql.renew, {Param(ids), Param(epochs), LeaseMicros()});
    if (!rows.ok()) return rows.status();
    for (int row = 0; row < rows->size(); ++row) lost.push_back(rows->Id(row, 0));
  }
  return lost;
}

// The statements run in one transaction. Each sees what was committed before it began, so those after the first see
// what whoever held the row's lock before has written.
absl::StatusOr<saga::SignalResult> PostgresSagaJournal::AddSignal(const Uuid& id, const saga::Signal& signal) {
  const std::string waits_for = saga::WaitName(signal.step, signal.direction, signal.token);
  auto optional_text = [](const std::string& text) { return text.empty() ? Param::Null(kOidText) : Param::Text(text); };
  const std::vector<Param> said = {Param::Id(id),
                                   Param::Text(waits_for),
                                   Param::Text(Name(signal.outcome.kind)),
                                   optional_text(signal.outcome.reason),
                                   optional_text(signal.outcome.detail),
                                   Param::Int4(saga::kSignalsMax)};
  const std::vector<Param> wait = {Param::Id(id), Param::Text(waits_for)};
  std::optional<DeedRow> deed;
  if (signal.deed != nullptr) deed.emplace(*signal.deed);
  for (const std::unique_ptr<Kind>& kind : kinds_) {
    const std::string name(kind->tables.kind());
    const ArrayParam versions = Versions(*kind);
    const std::vector<Param> key = {Param::Id(id), versions};
    std::vector<Param> said_here = said;
    said_here.push_back(versions);
    said_here.push_back(Param::Bool(signal.only_awaited));
    if (deed) {
      deed->AddTo(said_here);
    } else {
      said_here.insert(said_here.end(), std::size(kDeedColumns), Param::Null(kOidText));
    }
    absl::StatusOr<std::vector<Rows>> results = std::vector<Rows>();
    {
      auto connection = pool_.Acquire();
      if (!connection.ok()) return connection.status();
      absl::Status prepared = (*connection)->Prepare(name + ".signal_lock", kind->sql.signal_lock);
      if (prepared.ok()) prepared = (*connection)->Prepare(name + ".signal_keep", kind->sql.signal_keep);
      if (prepared.ok()) prepared = (*connection)->Prepare(name + ".signal_wake", kind->sql.signal_wake);
      if (prepared.ok()) prepared = (*connection)->Prepare(name + ".signal_find", kind->sql.signal_find);
      if (!prepared.ok()) return prepared;
      results = (*connection)
                    ->Pipeline({Statement{name + ".signal_lock", key}, Statement{name + ".signal_keep", said_here},
                                Statement{name + ".signal_wake", wait}, Statement{name + ".signal_find", wait}});
    }
    if (!results.ok()) return results.status();
    if (results->at(0).empty()) continue;
    if (!results->at(1).empty()) {
      return results->at(2).empty() ? saga::SignalResult::kKept : saga::SignalResult::kWoken;
    }
    RowReader row(results->at(0), 0);
    if (saga::IsTerminal(row.State(1))) return saga::SignalResult::kLate;
    if (results->at(3).empty()) {
      if (signal.only_awaited) return saga::SignalResult::kUnawaited;
      return domain::QueueFull("the saga has as many signals as are kept", absl::Minutes(1));
    }
    return saga::SignalResult::kRepeated;
  }
  for (const std::unique_ptr<Kind>& kind : kinds_) {
    if (absl::Status driven = LoadDriven(*kind, id).status(); !driven.ok()) return driven;
  }
  return domain::ReasonError("SAGA_NOT_FOUND", fmt::format("no saga {}", id.ToString()));
}

absl::Status PostgresSagaJournal::ReleaseAll() {
  absl::Status status;
  for (const std::unique_ptr<Kind>& kind : kinds_) {
    status.Update(Run(kind->sql.release, {Param::Text(owner_)}).status());
  }
  return status;
}

Param PostgresSagaJournal::LeaseMicros() const { return Param::Int8(absl::ToInt64Microseconds(lease_.duration)); }

// --- Reading.

absl::StatusOr<Rows> PostgresSagaJournal::LoadRows(const Kind& kind, const Uuid& id) {
  ArrayParam ids(kOidUuid);
  ids.AddId(id);
  return Run(kind.sql.load, {Param(ids)});
}

absl::StatusOr<std::unique_ptr<saga::Record>> PostgresSagaJournal::Load(const Kind& kind, const Uuid& id) {
  absl::StatusOr<Rows> rows = LoadRows(kind, id);
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return nullptr;
  return kind.tables.Decode(*rows, 0);
}

absl::StatusOr<std::unique_ptr<saga::Record>> PostgresSagaJournal::LoadDriven(const Kind& kind, const Uuid& id) {
  absl::StatusOr<Rows> rows = LoadRows(kind, id);
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return nullptr;
  RowReader row(*rows, 0);
  saga::Header header;
  header.kind = kind.tables.kind();
  DecodeHeader(row, header);
  if (row.status().ok()) {
    if (absl::Status known = CheckKnown(header); !known.ok()) return known;
  }
  return kind.tables.Decode(*rows, 0);
}

absl::StatusOr<std::unique_ptr<saga::Record>> PostgresSagaJournal::Load(const Uuid& id) {
  for (const std::unique_ptr<Kind>& kind : kinds_) {
    absl::StatusOr<std::unique_ptr<saga::Record>> record = Load(*kind, id);
    if (!record.ok() || *record != nullptr) return record;
  }
  return domain::ReasonError("SAGA_NOT_FOUND", fmt::format("no saga {}", id.ToString()));
}

absl::StatusOr<std::vector<saga::LogEntry>> PostgresSagaJournal::LoadLog(const Uuid& id, int64_t from_seq) {
  for (const std::unique_ptr<Kind>& kind : kinds_) {
    auto rows = Run(kind->sql.log, {Param::Id(id), Param::Int8(from_seq)});
    if (!rows.ok()) return rows.status();
    if (!rows->empty()) return DecodeLog(*rows);
  }
  return std::vector<saga::LogEntry>();
}

absl::StatusOr<Rows> PostgresSagaJournal::Run(const std::string& sql, const std::vector<Param>& params) {
  auto connection = pool_.Acquire();
  if (!connection.ok()) return connection.status();
  return (*connection)->Execute(sql, params);
}

absl::StatusOr<Rows> PostgresSagaJournal::RunPrepared(const Kind& kind, std::string_view name, const std::string& sql,
                                                      const std::vector<Param>& params) {
  const std::string statement = fmt::format("{}.{}", kind.tables.kind(), name);
  auto connection = pool_.Acquire();
  if (!connection.ok()) return connection.status();
  if (absl::Status prepared = (*connection)->Prepare(statement, sql); !prepared.ok()) return prepared;
  return (*connection)->ExecutePrepared(statement, params);
}

}  // namespace waybill::storage
