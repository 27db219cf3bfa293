#include "saga/testing/memory_journal.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "domain/reasons.h"
#include "runtime/text.h"

namespace waybill::saga::testing {
namespace {

absl::Status NotFound(const Uuid& id) { return domain::ReasonError("SAGA_NOT_FOUND", "no saga " + id.ToString()); }

bool CanHoldTexts(const Write& write) {
  auto fit = [](std::string_view text) {
    Utf8 read = ReadUtf8(text);
    return read.valid && !read.has_nul;
  };
  for (const LogEntry& entry : write.log) {
    if (!fit(entry.detail)) return false;
  }
  return fit(write.record->failure.reason) && fit(write.record->failure.detail);
}

}  // namespace

void MemoryJournal::Begin(const Record& record, BeginDone done) {
  Defer([this, &record, done = std::move(done)]() mutable { TryBegin(record, std::move(done)); });
}

void MemoryJournal::Advance(const Write& write, AdvanceDone done) { Advance(write, NewWriteId(), std::move(done)); }

void MemoryJournal::Advance(const Write& write, uint64_t write_id, AdvanceDone done) {
  Defer([this, write, write_id, done = std::move(done)]() mutable { TryAdvance(write, write_id, std::move(done)); });
}

absl::StatusOr<std::vector<std::unique_ptr<Record>>> MemoryJournal::ClaimExpired(bool own, size_t limit,
                                                                                 std::string_view kind) {
  std::vector<std::unique_ptr<Record>> claimed;
  {
    std::lock_guard lock(book_.mutex);
    for (auto& [id, row] : book_.rows) {
      if (claimed.size() >= limit) break;
      if (!kind.empty() && row.record->kind != kind) continue;
      if (!IsUnfinished(row.record->state) || !CheckDriven(row).ok()) continue;
      const bool formerly_mine = own && row.instance == lease_.instance && row.life != lease_.life;
      if (row.waiting ? !IsWoken(row) : row.lease_until > clock_.Now() && !formerly_mine) continue;
      claimed.push_back(Take(row));
    }
  }
  if (absl::Status lost = in_gap_(Gap::kAfterClaim); !lost.ok()) return lost;
  return claimed;
}

absl::StatusOr<std::unique_ptr<Record>> MemoryJournal::Claim(const Uuid& id, ClaimMode mode) {
  std::unique_ptr<Record> claimed;
  {
    std::lock_guard lock(book_.mutex);
    auto it = book_.rows.find(id);
    if (it != book_.rows.end()) {
      if (absl::Status driven = CheckDriven(it->second); !driven.ok()) return driven;
    }
    if (it != book_.rows.end() && MayTake(it->second, mode)) claimed = Take(it->second);
  }
  if (absl::Status lost = in_gap_(claimed ? Gap::kAfterClaim : Gap::kNotClaimed); !lost.ok()) return lost;
  if (claimed) return claimed;
  absl::StatusOr<std::unique_ptr<Record>> record = Load(id);
  if (!record.ok() || IsTerminal((*record)->state)) return record;
  return domain::ReasonError("SAGA_LEASED", "another process holds the lease");
}

absl::StatusOr<std::vector<Uuid>> MemoryJournal::Renew(std::span<const Held> held) {
  std::lock_guard lock(book_.mutex);
  std::vector<Uuid> lost;
  for (const Held& one : held) {
    auto it = book_.rows.find(one.id);
    if (it == book_.rows.end() || it->second.record->epoch != one.epoch) {
      lost.push_back(one.id);
    } else if (IsUnfinished(it->second.record->state) && !it->second.waiting) {
      it->second.lease_until = clock_.Now() + lease_.duration;
    }
  }
  return lost;
}

absl::StatusOr<SignalResult> MemoryJournal::AddSignal(const Uuid& id, const Signal& signal) {
  if (!error_.ok()) return error_;
  std::lock_guard lock(book_.mutex);
  auto it = book_.rows.find(id);
  if (it == book_.rows.end()) return NotFound(id);
  MemoryBook::Row& row = it->second;
  if (absl::Status driven = CheckDriven(row); !driven.ok()) return driven;
  if (IsTerminal(row.record->state)) return SignalResult::kLate;
  const std::string waits_for = WaitName(signal.step, signal.direction, signal.token);
  const bool first = !row.signals.contains(waits_for);
  const bool full = row.signals.size() >= static_cast<size_t>(kSignalsMax);
  const bool awaited = IsAmong(waits_for, row.record->waits_for);
  if (first && signal.only_awaited && !(row.waiting && awaited)) return SignalResult::kUnawaited;
  if (first && full && !awaited) {
    return domain::QueueFull("the saga has as many signals as are kept", absl::Minutes(1));
  }
  if (first) row.signals[waits_for] = {++book_.last_signal_id, signal.outcome, waits_for};
  if (first && signal.deed != nullptr) book_.deeds.push_back(*signal.deed);
  if (!first) return SignalResult::kRepeated;
  if (!row.waiting || !awaited) return SignalResult::kKept;
  row.record->wakes_at = std::min(row.record->wakes_at, clock_.Now());
  return SignalResult::kWoken;
}

absl::Status MemoryJournal::ReleaseAll() {
  std::lock_guard lock(book_.mutex);
  for (auto& [id, row] : book_.rows) {
    if (IsMine(row) && !row.waiting) row.lease_until = clock_.Now();
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Record>> MemoryJournal::Load(const Uuid& id) {
  std::lock_guard lock(book_.mutex);
  auto it = book_.rows.find(id);
  if (it == book_.rows.end()) return NotFound(id);
  return it->second.record->Clone();
}

absl::StatusOr<std::vector<LogEntry>> MemoryJournal::LoadLog(const Uuid& id, int64_t from_seq) {
  std::lock_guard lock(book_.mutex);
  std::vector<LogEntry> log;
  if (auto it = book_.rows.find(id); it != book_.rows.end()) {
    for (const LogEntry& entry : it->second.log) {
      if (entry.seq >= from_seq) log.push_back(entry);
    }
  }
  return log;
}

bool MemoryJournal::IsMine(const MemoryBook::Row& row) const {
  return row.instance == lease_.instance && row.life == lease_.life;
}

void MemoryJournal::Defer(Task task) {
  if (defer_) {
    defer_(std::move(task));
  } else {
    task();
  }
}

bool MemoryJournal::MayTake(const MemoryBook::Row& row, ClaimMode mode) const {
  if (IsTerminal(row.record->state)) return false;
  if (mode == ClaimMode::kWoken) return IsWoken(row);
  return mode == ClaimMode::kTakeOver || !IsUnfinished(row.record->state) || row.lease_until <= clock_.Now() ||
         IsMine(row);
}

bool MemoryJournal::IsWoken(const MemoryBook::Row& row) const {
  return row.waiting && row.record->wakes_at <= clock_.Now();
}

absl::Status MemoryJournal::CheckDriven(const MemoryBook::Row& row) const {
  return kinds_ == nullptr ? absl::OkStatus() : kinds_->CheckDriven(*row.record);
}

std::unique_ptr<Record> MemoryJournal::Take(MemoryBook::Row& row) {
  ++row.record->epoch;
  row.waiting = false;
  row.instance = lease_.instance;
  row.life = lease_.life;
  if (IsUnfinished(row.record->state)) row.lease_until = clock_.Now() + lease_.duration;
  std::unique_ptr<Record> record = row.record->Clone();
  record->woken = !record->waits_for.empty() && record->wakes_at <= clock_.Now();
  record->signal = Said(row, record->waits_for);
  return record;
}

uint64_t MemoryJournal::NewWriteId() {
  std::lock_guard lock(book_.mutex);
  return ++book_.last_write_id;
}

void MemoryJournal::TryBegin(const Record& record, BeginDone done) {
  if (!error_.ok()) {
    Defer([error = error_, done = std::move(done)]() mutable { done(error); });
    return;
  }
  const absl::StatusOr<bool> tried = Insert(record);
  if (!tried.ok()) {
    Defer([error = tried.status(), done = std::move(done)]() mutable { done(error); });
    return;
  }
  const bool inserted = *tried;
  const bool answered = in_gap_(Gap::kAfterBegin).ok();
  Defer([this, &record, inserted, answered, done = std::move(done)]() mutable {
    if (!answered) {
      TryBegin(record, std::move(done));
    } else {
      done(inserted ? nullptr : Existing(record));
    }
  });
}

absl::StatusOr<bool> MemoryJournal::Insert(const Record& record) {
  std::lock_guard lock(book_.mutex);
  if (FindByKey(record) != nullptr) return false;
  if (absl::Status may = KindOf(record).may_begin(record); !may.ok()) return may;
  auto& row = book_.rows[record.id];
  row.record = Kept(record, nullptr);
  row.instance = lease_.instance;
  row.life = lease_.life;
  row.lease_until = clock_.Now() + lease_.duration;
  ++book_.writes;
  book_.on_write(row);
  return true;
}

std::unique_ptr<Record> MemoryJournal::Kept(const Record& written, const Record* before) {
  std::unique_ptr<Record> kept = written.Clone();
  KindOf(written).keep(*kept, before);
  kept->set_effects({});
  return kept;
}

std::unique_ptr<Record> MemoryJournal::Existing(const Record& record) {
  std::lock_guard lock(book_.mutex);
  const auto* row = FindByKey(record);
  if (row->record->id == record.id && row->record->epoch == record.epoch) return nullptr;
  return row->record->Clone();
}

const MemoryBook::Row* MemoryJournal::FindByKey(const Record& record) {
  const MemoryKind& kind = KindOf(record);
  if (auto same = book_.rows.find(record.id); same != book_.rows.end()) return &same->second;
  const std::string key = kind.dedupe_key(record);
  if (key.empty()) return nullptr;
  for (auto& [id, row] : book_.rows) {
    if (row.record->kind == record.kind && kind.dedupe_key(*row.record) == key) return &row;
  }
  return nullptr;
}

void MemoryJournal::TryAdvance(const Write& write, uint64_t write_id, AdvanceDone done) {
  absl::StatusOr<bool> applied = error_.ok() ? Apply(write, write_id) : error_;
  const bool answered = !applied.ok() || in_gap_(Gap::kAfterAdvance).ok();
  Defer([this, write, write_id, applied, answered, done = std::move(done)]() mutable {
    if (!applied.ok()) {
      done(applied.status());
    } else if (!answered) {
      TryAdvance(write, write_id, std::move(done));
    } else {
      done(*applied ? WriteResult::kApplied : WhyNot(write, write_id));
    }
  });
}

absl::StatusOr<bool> MemoryJournal::Apply(const Write& write, uint64_t write_id) {
  std::lock_guard lock(book_.mutex);
  auto it = book_.rows.find(write.record->id);
  if (it == book_.rows.end()) return false;
  auto& row = it->second;
  if (row.record->epoch != write.record->epoch || row.record->seq != write.expected_seq) return false;
  if (write.log.empty() || write.log.back().seq != write.record->seq ||
      write.log.front().seq != write.expected_seq + 1) {
    return absl::InternalError("a write must append the entries between expected_seq and the record's seq");
  }
  const MemoryKind& kind = KindOf(*write.record);
  if (!CanHoldTexts(write) || !kind.can_hold(*write.record)) {
    return domain::ReasonError(kStoreRefused, "the book cannot hold this", {.metadata = {{"sqlstate", "22021"}}});
  }
  if (!kind.apply_effects(*write.record)) return false;
  row.record = Kept(*write.record, row.record.get());
  row.write_id = write_id;
  for (LogEntry entry : write.log) {
    if (const domain::DeedPtr deed = std::move(entry.deed)) book_.deeds.push_back(*deed);
    row.log.push_back(std::move(entry));
  }
  row.waiting = !row.record->waits_for.empty();
  const bool held = IsUnfinished(row.record->state) && !row.waiting;
  row.lease_until = held ? clock_.Now() + lease_.duration : absl::InfinitePast();
  HandOverSignal(write, row);
  ++book_.writes;
  book_.on_write(row);
  return true;
}

void MemoryJournal::HandOverSignal(const Write& write, MemoryBook::Row& row) {
  std::erase_if(row.signals, [&](const auto& kept) { return kept.second.id == write.acts_on; });
  if (write.signal == nullptr) return;
  *write.signal = Said(row, write.record->waits_for);
  if (!write.signal->has_value()) return;
  row.waiting = false;
  row.lease_until = clock_.Now() + lease_.duration;
}

std::optional<KeptSignal> MemoryJournal::Said(const MemoryBook::Row& row, std::string_view waits_for) {
  std::optional<KeptSignal> first;
  for (const auto& [name, kept] : row.signals) {
    if (IsAmong(name, waits_for) && (!first || kept.id < first->id)) first = kept;
  }
  return first;
}

WriteResult MemoryJournal::WhyNot(const Write& write, uint64_t write_id) {
  std::lock_guard lock(book_.mutex);
  auto it = book_.rows.find(write.record->id);
  if (it == book_.rows.end() || it->second.record->epoch != write.record->epoch) return WriteResult::kFenced;
  if (it->second.write_id == write_id) {  // by an earlier try whose answer was lost
    HandOverSignal(write, it->second);
    return WriteResult::kApplied;
  }
  return it->second.record->seq == write.expected_seq ? WriteResult::kConflict : WriteResult::kFenced;
}

}  // namespace waybill::saga::testing
