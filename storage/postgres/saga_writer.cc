// What writes the journal: one pipeline for all that a batch holds, of every kind.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "saga/trace.h"
#include "storage/postgres/audit_log.h"
#include "storage/postgres/saga_journal.h"
#include "storage/postgres/saga_rows.h"
#include "storage/postgres/sqlstate.h"

namespace waybill::storage {
namespace {

// The columns of an advance's header before those of the payload.
constexpr size_t kHeader = 15;

constexpr char kNumber[] = "number";

constexpr char kLockAccounts[] = "lock_accounts";
constexpr char kLockAccountsSql[] = "SELECT ledger_lock_accounts($1::uuid[], $2::text[], $3::text[])";

void AddOptionalText(ArrayParam& column, const std::string& text) {
  if (text.empty()) {
    column.AddNull();
  } else {
    column.AddText(text);
  }
}

void AddDeed(const domain::Deed& deed, std::span<ArrayParam> columns) {
  const std::string detail = DeedDetail(deed);
  size_t n = 0;
  for (const std::string* text : {&deed.by.client, &deed.by.key_id, &deed.by.operator_name, &deed.action,
                                  &deed.subject_kind, &deed.subject, &detail}) {
    columns[n++].AddText(*text);
  }
}

bool IsUnexplained(const absl::Status& status) {
  return absl::IsInternal(status) && GetErrorDetail(status).reason.empty();
}

}  // namespace

class PostgresSagaJournal::Writer final : public BatchWriter<Op> {
 public:
  Writer(PostgresSagaJournal& journal, std::unique_ptr<Connection> connection)
      : journal_(journal), connection_(std::move(connection)) {
    for (const std::unique_ptr<Kind>& kind : journal.kinds_) parts_.emplace_back(*kind);
  }

  absl::Status Prepare() {
    if (auto status = connection_->Prepare(kNumber, parts_.front().kind.sql.number); !status.ok()) return status;
    if (auto status = connection_->Prepare(kLockAccounts, kLockAccountsSql); !status.ok()) return status;
    for (const Part& part : parts_) {
      const SagaJournalSql& sql = part.kind.sql;
      std::vector<std::pair<const std::string*, const std::string*>> statements = {
          {&part.begin, &sql.begin.text},  {&part.begin_quick, &sql.begin_quick},
          {&part.advance, &sql.advance},   {&part.move, &sql.move.text},
          {&part.acted_on, &sql.acted_on}, {&part.said_already, &sql.said_already}};
      for (size_t n = 0; n < sql.books.size(); ++n) {
        statements.emplace_back(&part.books[n].statement, &sql.books[n].text);
      }
      if (!sql.begun.text.empty()) statements.emplace_back(&part.begun.statement, &sql.begun.text);
      for (const auto& [name, text] : statements) {
        if (auto status = connection_->Prepare(*name, *text); !status.ok()) return status;
      }
    }
    return absl::OkStatus();
  }

  BatchResult Write(std::span<Op> batch) override {
    const auto started = std::chrono::steady_clock::now();
    if (absl::Status connected = connection_->EnsureConnected(); !connected.ok()) return Fail(connected);
    Split(batch);
    Span span = Trace(batch);
    const bool quick = careful_batches_ == 0;
    absl::Status written = WriteOnce(quick);
    if (quick && (IsUniqueViolation(written) || IsDivisionByZero(written))) {
      careful_batches_ = kCarefulBatches;
      written = WriteOnce(false);
    }
    if (!quick) --careful_batches_;
    if (!written.ok()) {
      span.Fail(std::string(written.message()));
      return Fail(written);
    }
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
    if (!IsUnexplained(last_error_) && !IsByRule(last_error_)) journal_.options_.on_refused(last_error_);
    return last_error_;
  }

 private:
  // Of a commit, linked to whom it is for.
  Span Trace(std::span<const Op> batch) {
    constexpr size_t kLinksMax = 128;
    if (journal_.options_.tracer == nullptr) return {};
    Tracer& tracer = *journal_.options_.tracer;
    Span span;
    size_t links = 0;
    for (const Op& op : batch) {
      const auto* begin = std::get_if<BeginOp>(&op.what);
      const saga::Header& header = begin != nullptr ? *begin->record : *std::get<AdvanceOp>(op.what).write.record;
      if (header.traceparent.ends_with("-00")) continue;  // most are not sampled, and need no closer look
      const TraceContext saga = saga::SagaContext(header, tracer);
      if (!saga.sampled || links == kLinksMax) continue;
      if (links++ == 0) span = tracer.Begin("journal commit", SpanKind::kClient);
      span.Link(saga::DriverContext(saga, header.epoch));
    }
    span.Set("db.system", "postgresql");
    span.Set("waybill.journal.writes", static_cast<int64_t>(batch.size()));
    return span;
  }

  // Repeated keys and lost claims come in crowds (clients that retry, replicas short of drivers), and a quick batch
  // that fails is written twice: so many batches are written carefully after one.
  static constexpr int64_t kCarefulBatches = 1'000;

  // The rows of one booking, the saga's key before all else.
  struct Booked {
    std::string statement;
    std::vector<ArrayParam> columns;

    size_t size() const { return columns.front().size(); }
  };

  // What of a batch is of one kind.
  struct Part final : BookedRows {
    explicit Part(const Kind& of) : kind(of) {
      const std::string name(kind.tables.kind());
      begin = name + ".begin";
      begin_quick = name + ".begin_quick";
      advance = name + ".advance";
      move = name + ".move";
      acted_on = name + ".acted_on";
      said_already = name + ".said_already";
      for (Oid oid : kind.sql.begin.oids) begin_columns.emplace_back(oid);
      for (Oid oid : kind.sql.move.oids) header.emplace_back(oid);
      begun.statement = name + ".begun";
      begun.columns.emplace_back(kOidUuid);
      for (size_t n = 1; n < kind.sql.begun.oids.size(); ++n) begun.columns.emplace_back(kind.sql.begun.oids[n]);
      for (const ArrayStatement& statement : kind.sql.books) {
        Booked& book = books.emplace_back();
        book.statement = fmt::format("{}.book{}", name, books.size());
        for (Oid oid : statement.oids) book.columns.emplace_back(oid);
      }
    }

    std::span<ArrayParam> Add(Booked& book) {
      book.columns.front().AddId(saga);
      return std::span(book.columns).subspan(1);
    }
    std::span<ArrayParam> Book(size_t booking) override {
      if (booking >= kind.tables.sql().bookings.size()) std::abort();  // a bug
      return Add(books[booking + (kind.tables.sql().claim.text.empty() ? 0 : 1)]);
    }
    std::span<ArrayParam> Claim() override {
      if (kind.tables.sql().claim.text.empty()) std::abort();  // a bug
      return Add(books.front());
    }
    std::span<ArrayParam> Begun() override {
      if (kind.tables.sql().begun.text.empty()) std::abort();  // a bug
      return Add(begun);
    }
    std::span<ArrayParam> Log() { return Add(books[books.size() - 2]); }
    std::span<ArrayParam> Audit() { return Add(books.back()); }

    const Kind& kind;
    // Names of the prepared statements.
    std::string begin, begin_quick, advance, move, acted_on, said_already;
    std::vector<ArrayParam> begin_columns, header;
    Booked begun;
    std::vector<Booked> books;  // the claim, if this kind has one, then its bookings, the log and the audit
    Uuid saga;                  // whose rows are added
    size_t move_result = 0, said_result = 0, begin_result = 0;          // their places among the script's
    std::vector<std::pair<std::vector<std::string>, BeginOp*>> begins;  // with their keys
    std::vector<AdvanceOp*> advances;
    absl::flat_hash_map<Uuid, AdvanceOp*> waits;  // of these, what is about to wait
    ArrayParam wait_ids{kOidUuid}, wait_writes{kOidInt8};
    ArrayParam act_ids{kOidUuid}, act_writes{kOidInt8}, act_signals{kOidInt8};  // what acts on a signal
  };

  // Whether a kind's own rule refused to begin one of it.
  bool IsByRule(const absl::Status& status) const {
    for (const auto& [key, constraint] : GetErrorDetail(status).metadata) {
      if (key != "constraint") continue;
      for (const Part& part : parts_) {
        const std::vector<std::string>& rules = part.kind.tables.sql().rules;
        if (std::find(rules.begin(), rules.end(), constraint) != rules.end()) return true;
      }
    }
    return false;
  }

  BatchResult Fail(const absl::Status& status) {
    last_error_ = status;
    if (IsByRule(status)) return BatchResult::kBadData;
    journal_.options_.on_error(status);
    // What the server cannot do (a damaged page, say) may be about one row of the batch: the others shall not wait for
    // it. Whether its write was made is not known, so it is let go of, and whoever claims it next looks.
    if (IsUnexplained(status)) return BatchResult::kBadData;
    return ToBatchResult(status);
  }

  Part& PartOf(const saga::Record& record) {
    for (Part& part : parts_) {
      if (part.kind.tables.kind() == record.kind) return part;
    }
    std::abort();  // a kind that the journal was not opened with: a bug
  }

  // Sorted, so that writers that meet on the same rows lock them in the same order.
  void Split(std::span<Op> batch) {
    for (Part& part : parts_) {
      part.begins.clear();
      part.advances.clear();
      part.waits.clear();
      for (ArrayParam* column : {&part.act_ids, &part.act_writes, &part.act_signals}) column->Clear();
    }
    for (Op& op : batch) {
      if (auto* begin = std::get_if<BeginOp>(&op.what)) {
        Part& part = PartOf(*begin->record);
        part.begins.emplace_back(part.kind.tables.DedupeKey(*begin->record), begin);
      } else {
        auto& advance = std::get<AdvanceOp>(op.what);
        PartOf(*advance.write.record).advances.push_back(&advance);
      }
    }
    for (Part& part : parts_) {
      std::sort(part.begins.begin(), part.begins.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
      SortAdvances(part);
      for (AdvanceOp* advance : part.advances) {
        const saga::Write& write = advance->write;
        if (write.signal != nullptr) part.waits[write.record->id] = advance;
        if (write.acts_on == 0) continue;
        part.act_ids.AddId(write.record->id);
        part.act_writes.AddInt(advance->id);
        part.act_signals.AddInt(write.acts_on);
      }
    }
  }

  // By saga, the newest epoch first. After an outage that outlasted a lease, this very process may have claimed a saga
  // again whose earlier write still waits here. Its claim is durable, so that write is fenced, and one write a saga
  // is left: what is booked is told from what is not by the saga alone.
  static void SortAdvances(Part& part) {
    std::vector<AdvanceOp*>& advances = part.advances;
    std::sort(advances.begin(), advances.end(), [](const AdvanceOp* a, const AdvanceOp* b) {
      const saga::Record &of_a = *a->write.record, &of_b = *b->write.record;
      return of_a.id != of_b.id ? of_a.id < of_b.id : of_a.epoch > of_b.epoch;
    });
    size_t kept = 0;
    for (AdvanceOp* advance : advances) {
      const saga::Record* before = kept > 0 ? advances[kept - 1]->write.record : nullptr;
      if (before != nullptr && before->id == advance->write.record->id &&
          before->epoch > advance->write.record->epoch) {
        advance->result = saga::WriteResult::kFenced;
      } else {
        advances[kept++] = advance;
      }
    }
    advances.resize(kept);
  }

  // The statements of one pipeline, with their parameters.
  struct Script {
    // The place of its result.
    size_t Add(const std::string& statement, std::vector<Param> with) {
      params.push_back(std::move(with));
      statements.push_back({statement, params.back()});
      return statements.size() - 1;
    }

    std::deque<std::vector<Param>> params;
    std::vector<Statement> statements;
  };

  absl::Status WriteOnce(bool quick) {
    Script script;
    FillAccounts();
    if (!accounts_.empty()) script.Add(kLockAccounts, {accounts_.orders, accounts_.clients, accounts_.accounts});
    // Finishes first: they free what the new ones may want.
    bool advancing = false, beginning = false;
    for (Part& part : parts_) {
      if (part.advances.empty()) continue;
      AddAdvance(part, quick, script);
      advancing = true;
    }
    if (advancing) {
      WAYBILL_FAILPOINT("advance.before_commit");
    }
    for (Part& part : parts_) {
      if (part.begins.empty()) continue;
      if (!beginning) script.Add(kNumber, {});
      FillBegin(part);
      std::vector<Param> with = {Param::Text(journal_.owner_), journal_.LeaseMicros()};
      with.insert(with.end(), part.begin_columns.begin(), part.begin_columns.end());
      part.begin_result = script.Add(quick ? part.begin_quick : part.begin, std::move(with));
      if (part.begun.size() > 0) {
        script.Add(part.begun.statement, {part.begun.columns.begin(), part.begun.columns.end()});
      }
      beginning = true;
    }
    if (beginning) {
      WAYBILL_FAILPOINT("begin.before_commit");
    }
    auto results = connection_->Pipeline(script.statements);
    if (!results.ok()) return results.status();
    if (advancing) {
      WAYBILL_FAILPOINT("advance.after_commit");
      if (absl::Status lost = journal_.options_.in_gap(saga::Gap::kAfterAdvance); !lost.ok()) return lost;
      for (Part& part : parts_) {
        for (AdvanceOp* op : part.advances) op->result = saga::WriteResult::kApplied;
        if (!quick && !part.advances.empty()) {
          if (absl::Status read = ReadAdvance(part, (*results)[part.move_result]); !read.ok()) return read;
        }
        if (part.waits.empty()) continue;
        if (absl::Status read = ReadSaid(part, (*results)[part.said_result]); !read.ok()) return read;
      }
    }
    if (beginning) {
      WAYBILL_FAILPOINT("begin.after_commit");
      if (absl::Status lost = journal_.options_.in_gap(saga::Gap::kAfterBegin); !lost.ok()) return lost;
      for (Part& part : parts_) {
        for (auto& [key, op] : part.begins) op->answer = nullptr;
        if (quick || part.begins.empty()) continue;
        if (absl::Status read = ReadBegin(part, (*results)[part.begin_result]); !read.ok()) return read;
      }
    }
    return absl::OkStatus();
  }

  void FillAccounts() {
    for (ArrayParam* column : {&accounts_.orders, &accounts_.clients, &accounts_.accounts}) column->Clear();
    for (const Part& part : parts_) {
      for (const AdvanceOp* op : part.advances) part.kind.tables.AddAccounts(*op->write.record, false, accounts_);
      for (const auto& [key, op] : part.begins) part.kind.tables.AddAccounts(*op->record, true, accounts_);
    }
    // Of orders whose ends move nothing to their drivers.
    const std::optional<int32_t>& ppm = journal_.options_.ledger_commission_ppm;
    if (!journal_.options_.ledger || !ppm || *ppm == 1'000'000) accounts_.orders.Clear();
  }

  void AddAdvance(Part& part, bool quick, Script& script) {
    FillAdvance(part);
    std::vector<Param> header = {journal_.LeaseMicros()};
    header.insert(header.end(), part.header.begin(), part.header.end());
    if (quick) {
      part.move_result = script.Add(part.move, std::move(header));
      for (const Booked& book : part.books) {
        if (book.size() > 0) script.Add(book.statement, {book.columns.begin(), book.columns.end()});
      }
    } else {
      for (const Booked& book : part.books) header.insert(header.end(), book.columns.begin(), book.columns.end());
      part.move_result = script.Add(part.advance, std::move(header));
    }
    if (part.act_ids.size() > 0) script.Add(part.acted_on, {part.act_ids, part.act_writes, part.act_signals});
    if (part.waits.empty()) return;
    // A statement of its own: it sees what was said while the one before waited for the rows' locks. Whoever signals
    // from here on finds that it waits.
    part.wait_ids.Clear();
    part.wait_writes.Clear();
    for (const auto& [id, op] : part.waits) {
      part.wait_ids.AddId(id);
      part.wait_writes.AddInt(op->id);
    }
    part.said_result = script.Add(part.said_already, {journal_.LeaseMicros(), part.wait_ids, part.wait_writes});
  }

  void FillBegin(Part& part) {
    for (ArrayParam& column : part.begin_columns) column.Clear();
    for (ArrayParam& column : part.begun.columns) column.Clear();
    for (auto& [key, op] : part.begins) {
      const saga::Record& record = *op->record;
      part.begin_columns[0].AddId(record.id);
      AddOptionalText(part.begin_columns[1], record.traceparent);
      part.begin_columns[2].AddTime(record.created_at);
      part.begin_columns[3].AddInt(record.version);
      part.kind.tables.AddBegin(record, std::span(part.begin_columns).subspan(4));
      part.saga = record.id;
      part.kind.tables.AddBegun(record, part);
    }
  }

  void FillAdvance(Part& part) {
    for (ArrayParam& column : part.header) column.Clear();
    for (Booked& book : part.books) {
      for (ArrayParam& column : book.columns) column.Clear();
    }
    std::span<ArrayParam> header(part.header);
    for (AdvanceOp* op : part.advances) {
      const saga::Record& record = *op->write.record;
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
      if (record.waits_for.empty()) {
        header[12].AddNull();
        header[13].AddNull();
      } else {
        header[12].AddText(record.waits_for);
        header[13].AddTime(record.wakes_at);
      }
      AddOptionalText(header[14], EncodeBranches(record.branches));
      part.kind.tables.AddMove(record, header.subspan(kHeader));
      part.saga = record.id;
      part.kind.tables.AddBookings(record, part);
      for (const saga::LogEntry& entry : op->write.log) {
        std::span<ArrayParam> log = part.Log();
        log[0].AddInt(entry.seq);
        log[1].AddText(entry.step);
        log[2].AddInt(entry.attempt);
        log[3].AddText(saga::Name(entry.outcome));
        log[4].AddText(saga::Name(entry.state));
        AddOptionalText(log[5], entry.detail);
        log[6].AddTime(entry.at);
        if (entry.deed != nullptr) AddDeed(*entry.deed, part.Audit());
      }
    }
    for (const Booked& book : part.books) {
      for (const ArrayParam& column : book.columns) {
        if (column.size() != book.size()) std::abort();  // a column left out would shift the rows behind it: a bug
      }
    }
  }

  // The statement answers the ids that were inserted. The others met their key, or themselves: the commit of an earlier
  // try whose answer was lost. An id is made once and at random, so it proves that; the epoch tells whether another
  // process has claimed the saga since.
  absl::Status ReadBegin(Part& part, const Rows& inserted) {
    if (inserted.size() == static_cast<int>(part.begins.size())) return absl::OkStatus();
    absl::flat_hash_set<Uuid> started;
    for (int row = 0; row < inserted.size(); ++row) started.insert(inserted.Id(row, 0));
    std::vector<std::pair<const std::vector<std::string>*, BeginOp*>> met;
    std::vector<ArrayParam> columns(part.begins.front().first.size(), ArrayParam(kOidText));
    for (auto& [key, op] : part.begins) {
      if (started.contains(op->record->id)) continue;
      met.emplace_back(&key, op);
      for (size_t i = 0; i < key.size(); ++i) columns[i].AddText(key[i]);
    }
    // Not on this connection: its planner settings suit the prepared statements only.
    auto rows = journal_.Run(part.kind.sql.find_by_key, std::vector<Param>(columns.begin(), columns.end()));
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
    rows = journal_.Run(part.kind.sql.load, {Param(ids)});
    if (!rows.ok()) return rows.status();
    for (int row = 0; row < rows->size(); ++row) {
      absl::StatusOr<std::unique_ptr<saga::Record>> existing = part.kind.tables.Decode(*rows, row);
      for (BeginOp* op : held[rows->Id(row, 0)]) {
        if (existing.ok()) {
          op->answer = (*existing)->Clone();
        } else {
          op->answer = existing.status();
        }
      }
    }
    return rows->size() == static_cast<int>(held.size()) ? absl::OkStatus() : vanished;
  }

  // The statement answers the ids that were applied; why another was not is read from its header.
  absl::Status ReadAdvance(Part& part, const Rows& applied) {
    if (applied.size() == static_cast<int>(part.advances.size())) return absl::OkStatus();
    absl::flat_hash_map<Uuid, AdvanceOp*> refused;
    for (AdvanceOp* op : part.advances) {
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
    auto rows = journal_.Run(part.kind.sql.states, {Param(ids)});
    if (!rows.ok()) return rows.status();
    for (int row = 0; row < rows->size(); ++row) {
      AdvanceOp& op = *refused.at(rows->Id(row, 0));
      const saga::Record& wanted = *op.write.record;
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

  absl::Status ReadSaid(Part& part, const Rows& said) {
    for (int row = 0; row < said.size(); ++row) {
      absl::StatusOr<saga::KeptSignal> signal = DecodeSignal(said, row);
      if (!signal.ok()) {  // of a newer version: whoever can read it claims the saga when this lease ends
        journal_.options_.on_error(signal.status());
        continue;
      }
      *part.waits.at(said.Id(row, 0))->write.signal = *std::move(signal);
    }
    return absl::OkStatus();
  }

  PostgresSagaJournal& journal_;
  std::unique_ptr<Connection> connection_;
  std::vector<Part> parts_;
  SharedAccounts accounts_;
  absl::Status last_error_;
  int64_t careful_batches_ = 0;  // still to be written
};

absl::StatusOr<std::unique_ptr<BatchWriter<PostgresSagaJournal::Op>>> PostgresSagaJournal::OpenWriter(
    const std::string& url) {
  ConnectionOptions options;
  options.application_name = "waybill-journal";
  options.commits = true;
  // Statements are planned once, perhaps while the tables are empty: without these the cached plan would read whole
  // tables for ever. Every table is reached by `= ANY($1)`, so no nested loop is wanted either.
  options.settings = {{"plan_cache_mode", "force_generic_plan"},
                      {"enable_seqscan", "off"},
                      {"enable_nestloop", "off"},
                      {"enable_mergejoin", "off"},
                      {"jit", "off"}};
  if (options_.ledger) {
    options.begins_with = kTakeLedgerShard;
    if (options_.ledger_commission_ppm) {
      options.settings.emplace_back("waybill.ledger_commission", fmt::format("{}", *options_.ledger_commission_ppm));
    }
  }
  auto opened = Connection::Open(url, options);
  if (!opened.ok()) return opened.status();
  auto writer = std::make_unique<Writer>(*this, *std::move(opened));
  if (absl::Status prepared = writer->Prepare(); !prepared.ok()) return prepared;
  return writer;
}

}  // namespace waybill::storage
