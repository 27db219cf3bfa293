// A journal in memory that behaves like the real one: leases on a clock, fencing epochs, deduplication, lost claims.
// Several journals on one MemoryBook are several processes on one database.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/failpoint.h"
#include "runtime/status.h"
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
  };
  // Two payloads with the same key are the same request; empty: no deduplication.
  std::function<std::string(const P&)> dedupe_key = [](const P&) { return std::string(); };
  // Books the payload's effects; false: the claim among them is lost, and nothing may be booked.
  std::function<bool(const Record<P>&)> apply_effects = [](const Record<P>&) { return true; };

  mutable std::mutex mutex;
  std::map<Uuid, Row> rows;
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

  void Begin(const Record<P>& record,
             absl::AnyInvocable<void(absl::StatusOr<std::optional<Record<P>>>)> done) override {
    Defer([this, &record, done = std::move(done)]() mutable {
      absl::StatusOr<std::optional<Record<P>>> result = BeginNow(record);
      Defer([result = std::move(result), done = std::move(done)]() mutable { done(std::move(result)); });
    });
  }

  void Advance(const Write<P>& write, absl::AnyInvocable<void(absl::StatusOr<WriteResult>)> done) override {
    Defer([this, write, done = std::move(done)]() mutable {
      absl::StatusOr<WriteResult> result = AdvanceNow(write);
      Defer([result = std::move(result), done = std::move(done)]() mutable { done(std::move(result)); });
    });
  }

  absl::StatusOr<std::vector<Record<P>>> ClaimExpired(bool own, size_t limit) override {
    std::lock_guard lock(book_.mutex);
    std::vector<Record<P>> claimed;
    for (auto& [id, row] : book_.rows) {
      if (claimed.size() >= limit) break;
      if (!IsUnfinished(row.record.state)) continue;
      if (row.lease_until > clock_.Now() && !(own && row.instance == lease_.instance && row.life != lease_.life))
        continue;
      claimed.push_back(Take(row));
    }
    return claimed;
  }

  absl::StatusOr<Record<P>> Claim(const Uuid& id, ClaimMode mode) override {
    std::lock_guard lock(book_.mutex);
    auto it = book_.rows.find(id);
    if (it == book_.rows.end()) return NotFound(id);
    auto& row = it->second;
    if (IsTerminal(row.record.state)) return row.record;
    if (mode == ClaimMode::kExpired && IsUnfinished(row.record.state) && row.lease_until > clock_.Now() &&
        !IsMine(row)) {
      return MakeError(absl::StatusCode::kFailedPrecondition, "another process holds the lease",
                       {.reason = "SAGA_LEASED"});
    }
    return Take(row);
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

  Record<P> Take(typename MemoryBook<P>::Row& row) {
    ++row.record.epoch;
    row.instance = lease_.instance;
    row.life = lease_.life;
    if (IsUnfinished(row.record.state)) row.lease_until = clock_.Now() + lease_.duration;
    return row.record;
  }

  absl::StatusOr<std::optional<Record<P>>> BeginNow(const Record<P>& record) {
    if (!error_.ok()) return error_;
    std::lock_guard lock(book_.mutex);
    std::string key = book_.dedupe_key(record.payload);
    if (!key.empty()) {
      for (auto& [id, row] : book_.rows) {
        if (book_.dedupe_key(row.record.payload) == key) return std::optional<Record<P>>(row.record);
      }
    }
    auto& row = book_.rows[record.id];
    row.record = record;
    row.record.payload.effects = {};
    row.instance = lease_.instance;
    row.life = lease_.life;
    row.lease_until = clock_.Now() + lease_.duration;
    ++book_.writes;
    return std::optional<Record<P>>();
  }

  absl::StatusOr<WriteResult> AdvanceNow(const Write<P>& write) {
    if (!error_.ok()) return error_;
    std::lock_guard lock(book_.mutex);
    auto it = book_.rows.find(write.record->id);
    if (it == book_.rows.end()) return NotFound(write.record->id);
    auto& row = it->second;
    if (row.record.epoch == write.record->epoch && row.record.seq == write.record->seq) {
      return WriteResult::kApplied;  // by an earlier try whose answer was lost
    }
    if (!WAYBILL_FAULT("epoch_check_off")) {
      if (row.record.epoch != write.record->epoch || row.record.seq != write.expected_seq) return WriteResult::kFenced;
    }
    if (write.log.empty() || write.log.back().seq != write.record->seq ||
        write.log.front().seq != write.expected_seq + 1) {
      return absl::InternalError("a write must append the entries between expected_seq and the record's seq");
    }
    if (!book_.apply_effects(*write.record)) return WriteResult::kConflict;
    row.record = *write.record;
    row.record.payload.effects = {};
    row.log.insert(row.log.end(), write.log.begin(), write.log.end());
    row.lease_until = IsUnfinished(row.record.state) ? clock_.Now() + lease_.duration : absl::InfinitePast();
    ++book_.writes;
    return WriteResult::kApplied;
  }

  MemoryBook<P>& book_;
  const Clock& clock_;
  const Lease lease_;
  std::function<void(Task)> defer_;
  absl::Status error_;
};

}  // namespace waybill::saga::testing
