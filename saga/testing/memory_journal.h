// A journal in memory that behaves like the real one: leases on a clock, fencing epochs, deduplication, lost claims.
// Several journals on one MemoryBook are several processes on one database.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/failpoint.h"
#include "runtime/status.h"
#include "runtime/text.h"
#include "saga/journal.h"

namespace waybill::saga::testing {

// What all processes share.
template <typename P>
struct MemoryBook {
  struct Row {
    Record<P> record;
    std::vector<LogEntry> log;
    std::string instance;
    std::string life;
    absl::Time lease_until = absl::InfinitePast();
    uint64_t write_id = 0;  // of the newest Advance
  };
  // Two payloads with the same key are the same request; empty: no deduplication.
  std::function<std::string(const P&)> dedupe_key = [](const P&) { return std::string(); };
  // Books the payload's effects; false: the claim among them is lost, and nothing may be booked.
  std::function<bool(const Record<P>&)> apply_effects = [](const Record<P>&) { return true; };

  // Whether the store can hold the payload at all; false: the write is refused for good, as one with a text that is not
  // UTF-8, or that holds U+0000, always is.
  std::function<bool(const Record<P>&)> can_hold = [](const Record<P>&) { return true; };

  mutable std::mutex mutex;
  std::map<Uuid, Row> rows;
  uint64_t last_write_id = 0;
  int writes = 0;  // Begin and Advance that were applied: the durable commits
};

template <typename P>
class MemoryJournal final : public Journal<P> {
 public:
  using Task = absl::AnyInvocable<void()>;

  MemoryJournal(MemoryBook<P>& book, const Clock& clock, Lease lease)
      : book_(book), clock_(clock), lease_(std::move(lease)) {}

  // Runs every asynchronous write and every answer through `defer`, which calls the task later; null: at once.
  void set_defer(std::function<void(Task)> defer) { defer_ = std::move(defer); }
  // Answers what goes wrong instead of writing; OK: nothing does.
  void set_error(absl::Status error) { error_ = std::move(error); }
  void set_in_gap(GapHook in_gap) { in_gap_ = std::move(in_gap); }

  void Begin(const Record<P>& record,
             absl::AnyInvocable<void(absl::StatusOr<std::optional<Record<P>>>)> done) override {
    Defer([this, &record, done = std::move(done)]() mutable { TryBegin(record, std::move(done)); });
  }

  void Advance(const Write<P>& write, absl::AnyInvocable<void(absl::StatusOr<WriteResult>)> done) override {
    Defer([this, write, write_id = NewWriteId(), done = std::move(done)]() mutable {
      TryAdvance(write, write_id, std::move(done));
    });
  }

  absl::StatusOr<std::vector<Record<P>>> ClaimExpired(bool own, size_t limit) override {
    std::vector<Record<P>> claimed;
    {
      std::lock_guard lock(book_.mutex);
      for (auto& [id, row] : book_.rows) {
        if (claimed.size() >= limit) break;
        if (!IsUnfinished(row.record.state)) continue;
        if (row.lease_until > clock_.Now() && !(own && row.instance == lease_.instance && row.life != lease_.life))
          continue;
        claimed.push_back(Take(row));
      }
    }
    if (absl::Status lost = in_gap_(Gap::kAfterClaim); !lost.ok()) return lost;
    return claimed;
  }

  absl::StatusOr<Record<P>> Claim(const Uuid& id, ClaimMode mode) override {
    std::optional<Record<P>> claimed;
    {
      std::lock_guard lock(book_.mutex);
      auto it = book_.rows.find(id);
      if (it != book_.rows.end() && MayTake(it->second, mode)) claimed = Take(it->second);
    }
    if (absl::Status lost = in_gap_(claimed ? Gap::kAfterClaim : Gap::kNotClaimed); !lost.ok()) return lost;
    if (claimed) return *std::move(claimed);
    absl::StatusOr<Record<P>> record = Load(id);
    if (!record.ok() || IsTerminal(record->state)) return record;
    return MakeError(absl::StatusCode::kFailedPrecondition, "another process holds the lease",
                     {.reason = "SAGA_LEASED"});
  }

  absl::StatusOr<std::vector<Uuid>> Renew(std::span<const std::pair<Uuid, int64_t>> id_and_epoch) override {
    std::lock_guard lock(book_.mutex);
    std::vector<Uuid> lost;
    for (const auto& [id, epoch] : id_and_epoch) {
      auto it = book_.rows.find(id);
      if (it == book_.rows.end() || it->second.record.epoch != epoch) {
        lost.push_back(id);
      } else if (IsUnfinished(it->second.record.state)) {
        it->second.lease_until = clock_.Now() + lease_.duration;
      }
    }
    return lost;
  }

  absl::Status ReleaseAll() override {
    std::lock_guard lock(book_.mutex);
    for (auto& [id, row] : book_.rows) {
      if (IsMine(row)) row.lease_until = clock_.Now();
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Record<P>> Load(const Uuid& id) override {
    std::lock_guard lock(book_.mutex);
    auto it = book_.rows.find(id);
    if (it == book_.rows.end()) return NotFound(id);
    return it->second.record;
  }

  absl::StatusOr<std::vector<LogEntry>> LoadLog(const Uuid& id, int64_t from_seq) override {
    std::lock_guard lock(book_.mutex);
    std::vector<LogEntry> log;
    if (auto it = book_.rows.find(id); it != book_.rows.end()) {
      for (const LogEntry& entry : it->second.log) {
        if (entry.seq >= from_seq) log.push_back(entry);
      }
    }
    return log;
  }

 private:
  static absl::Status NotFound(const Uuid& id) {
    return MakeError(absl::StatusCode::kNotFound, "no saga " + id.ToString(), {.reason = "SAGA_NOT_FOUND"});
  }

  bool IsMine(const typename MemoryBook<P>::Row& row) const {
    return row.instance == lease_.instance && row.life == lease_.life;
  }

  void Defer(Task task) {
    if (defer_) {
      defer_(std::move(task));
    } else {
      task();
    }
  }

  bool MayTake(const typename MemoryBook<P>::Row& row, ClaimMode mode) const {
    if (IsTerminal(row.record.state)) return false;
    return mode == ClaimMode::kTakeOver || !IsUnfinished(row.record.state) || row.lease_until <= clock_.Now() ||
           IsMine(row);
  }

  Record<P> Take(typename MemoryBook<P>::Row& row) {
    ++row.record.epoch;
    row.instance = lease_.instance;
    row.life = lease_.life;
    if (IsUnfinished(row.record.state)) row.lease_until = clock_.Now() + lease_.duration;
    return row.record;
  }

  // Like the real one, each write is made under one lock, and what became of one that was not made is looked up under
  // another: others come in between.

  uint64_t NewWriteId() {
    std::lock_guard lock(book_.mutex);
    return ++book_.last_write_id;
  }

  void TryBegin(const Record<P>& record, absl::AnyInvocable<void(absl::StatusOr<std::optional<Record<P>>>)> done) {
    if (!error_.ok()) {
      Defer([error = error_, done = std::move(done)]() mutable { done(error); });
      return;
    }
    const bool inserted = Insert(record);
    const bool answered = in_gap_(Gap::kAfterBegin).ok();
    Defer([this, &record, inserted, answered, done = std::move(done)]() mutable {
      if (!answered) {
        TryBegin(record, std::move(done));
      } else {
        done(inserted ? std::optional<Record<P>>() : Existing(record));
      }
    });
  }

  bool Insert(const Record<P>& record) {
    std::lock_guard lock(book_.mutex);
    if (FindByKey(record.payload) != nullptr) return false;
    auto& row = book_.rows[record.id];
    row.record = record;
    row.record.payload.effects = {};
    row.instance = lease_.instance;
    row.life = lease_.life;
    row.lease_until = clock_.Now() + lease_.duration;
    ++book_.writes;
    return true;
  }

  std::optional<Record<P>> Existing(const Record<P>& record) {
    std::lock_guard lock(book_.mutex);
    const auto* row = FindByKey(record.payload);
    if (row->record.id == record.id && row->record.epoch == record.epoch) return std::nullopt;
    return row->record;
  }

  const typename MemoryBook<P>::Row* FindByKey(const P& payload) const {
    const std::string key = book_.dedupe_key(payload);
    if (key.empty()) return nullptr;
    for (auto& [id, row] : book_.rows) {
      if (book_.dedupe_key(row.record.payload) == key) return &row;
    }
    return nullptr;
  }

  void TryAdvance(const Write<P>& write, uint64_t write_id,
                  absl::AnyInvocable<void(absl::StatusOr<WriteResult>)> done) {
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

  absl::StatusOr<bool> Apply(const Write<P>& write, uint64_t write_id) {
    std::lock_guard lock(book_.mutex);
    auto it = book_.rows.find(write.record->id);
    if (it == book_.rows.end()) return false;
    auto& row = it->second;
    const bool fenced = row.record.epoch != write.record->epoch || row.record.seq != write.expected_seq;
    if (fenced && !WAYBILL_FAULT("epoch_check_off")) return false;
    if (write.log.empty() || write.log.back().seq != write.record->seq ||
        write.log.front().seq != write.expected_seq + 1) {
      return absl::InternalError("a write must append the entries between expected_seq and the record's seq");
    }
    if (!CanHold(write)) {
      return MakeError(absl::StatusCode::kInternal, "the book cannot hold this",
                       {.reason = std::string(kStoreRefused), .metadata = {{"sqlstate", "22021"}}});
    }
    if (!book_.apply_effects(*write.record)) return false;
    row.record = *write.record;
    row.record.payload.effects = {};
    row.write_id = write_id;
    row.log.insert(row.log.end(), write.log.begin(), write.log.end());
    row.lease_until = IsUnfinished(row.record.state) ? clock_.Now() + lease_.duration : absl::InfinitePast();
    ++book_.writes;
    return true;
  }

  WriteResult WhyNot(const Write<P>& write, uint64_t write_id) const {
    std::lock_guard lock(book_.mutex);
    auto it = book_.rows.find(write.record->id);
    if (it == book_.rows.end() || it->second.record.epoch != write.record->epoch) return WriteResult::kFenced;
    if (it->second.write_id == write_id) return WriteResult::kApplied;  // by an earlier try whose answer was lost
    return it->second.record.seq == write.expected_seq ? WriteResult::kConflict : WriteResult::kFenced;
  }

  bool CanHold(const Write<P>& write) const {
    auto fit = [](std::string_view text) {
      Utf8 read = ReadUtf8(text);
      return read.valid && !read.has_nul;
    };
    for (const LogEntry& entry : write.log) {
      if (!fit(entry.detail)) return false;
    }
    return fit(write.record->failure.reason) && fit(write.record->failure.detail) && book_.can_hold(*write.record);
  }

  MemoryBook<P>& book_;
  const Clock& clock_;
  const Lease lease_;
  std::function<void(Task)> defer_;
  absl::Status error_;
  GapHook in_gap_ = [](Gap) { return absl::OkStatus(); };
};

}  // namespace waybill::saga::testing
