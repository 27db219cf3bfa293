// A journal in memory that behaves like the real one: leases on a clock, fencing epochs, deduplication, lost claims.
// Several journals on one MemoryBook are several processes on one database.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/ids.h"
#include "saga/definition.h"
#include "saga/journal.h"
#include "saga/outcome.h"
#include "saga/record.h"

namespace waybill::saga::testing {

// How a kind's sagas stand in the book.
struct MemoryKind {
  // Two records with the same key are the same request; empty: no deduplication.
  std::function<std::string(const Record&)> dedupe_key = [](const Record&) { return std::string(); };
  // Whether the store's rules allow to begin it; called under the book's mutex.
  std::function<absl::Status(const Record&)> may_begin = [](const Record&) { return absl::OkStatus(); };
  // Books the payload's effects; false: the claim among them is lost, and nothing may be booked.
  std::function<bool(const Record&)> apply_effects = [](const Record&) { return true; };
  // Makes of a payload that is written what will be read back: of what stands in rows of its own, no more than its
  // effects have written. Called with them still in `stored`, after apply_effects. `before`: as it stood; null: it
  // begins.
  std::function<void(Record& stored, const Record* before)> keep = [](Record&, const Record*) {};
  // Whether the store can hold the payload at all; false: the write is refused for good, as one with a text that is not
  // UTF-8, or that holds U+0000, always is.
  std::function<bool(const Record&)> can_hold = [](const Record&) { return true; };
};

// What all processes share.
struct MemoryBook {
  struct Row {
    std::unique_ptr<Record> record;
    std::vector<LogEntry> log;
    std::string instance;
    std::string life;
    absl::Time lease_until = absl::InfinitePast();
    bool waiting = false;                       // nobody has claimed it since it was written that it waits
    std::map<std::string, KeptSignal> signals;  // by what they are waited for as
    uint64_t write_id = 0;                      // of the newest Advance
  };

  std::map<std::string, MemoryKind> kinds;  // one that is not here books nothing and deduplicates nothing

  mutable std::mutex mutex;
  std::map<Uuid, Row> rows;
  uint64_t last_write_id = 0;
  int64_t last_signal_id = 0;
  std::vector<domain::Deed> deeds;  // of what was written, as the audit has them
  int writes = 0;                   // Begin and Advance that were applied: the durable commits
  // Sees the row after each of them, under the mutex.
  std::function<void(const Row&)> on_write = [](const Row&) {};
};

class MemoryJournal final : public Journal {
 public:
  using Task = absl::AnyInvocable<void()>;

  MemoryJournal(MemoryBook& book, const Clock& clock, Lease lease)
      : book_(book), clock_(clock), lease_(std::move(lease)) {}

  // What this process drives, as a real journal is opened with; it leaves alone what is not among them. Outlives the
  // journal. Null: all that there is.
  void set_kinds(const Kinds* kinds) { kinds_ = kinds; }

  // Runs every asynchronous write and every answer through `defer`, which calls the task later; null: at once.
  void set_defer(std::function<void(Task)> defer) { defer_ = std::move(defer); }
  // Answers what goes wrong instead of writing; OK: nothing does.
  void set_error(absl::Status error) { error_ = std::move(error); }
  void set_in_gap(GapHook in_gap) { in_gap_ = std::move(in_gap); }

  // Writes with the same id are one that is tried again: what it did the first time, it is told.
  uint64_t NewWriteId();
  void Advance(const Write& write, uint64_t write_id, AdvanceDone done);

  void Begin(const Record& record, BeginDone done) override;
  void Advance(const Write& write, AdvanceDone done) override;
  using Journal::ClaimExpired;
  absl::StatusOr<std::vector<std::unique_ptr<Record>>> ClaimExpired(bool own, size_t limit,
                                                                    std::string_view kind) override;
  absl::StatusOr<std::unique_ptr<Record>> Claim(const Uuid& id, ClaimMode mode) override;
  absl::StatusOr<SignalResult> AddSignal(const Uuid& id, const Signal& signal) override;
  absl::StatusOr<std::vector<Uuid>> Renew(std::span<const Held> held) override;
  absl::Status ReleaseAll() override;
  absl::StatusOr<std::unique_ptr<Record>> Load(const Uuid& id) override;
  absl::StatusOr<std::vector<LogEntry>> LoadLog(const Uuid& id, int64_t from_seq) override;

 private:
  bool IsMine(const MemoryBook::Row& row) const;
  void Defer(Task task);
  bool MayTake(const MemoryBook::Row& row, ClaimMode mode) const;
  bool IsWoken(const MemoryBook::Row& row) const;
  absl::Status CheckDriven(const MemoryBook::Row& row) const;
  std::unique_ptr<Record> Take(MemoryBook::Row& row);

  // Like the real one, each write is made under one lock, and what became of one that was not made is looked up under
  // another: others come in between.

  void TryBegin(const Record& record, BeginDone done);
  absl::StatusOr<bool> Insert(const Record& record);
  std::unique_ptr<Record> Kept(const Record& written, const Record* before);
  std::unique_ptr<Record> Existing(const Record& record);
  const MemoryBook::Row* FindByKey(const Record& record);
  void TryAdvance(const Write& write, uint64_t write_id, AdvanceDone done);
  absl::StatusOr<bool> Apply(const Write& write, uint64_t write_id);
  // What the write acts on is forgotten; one that waits is told what has been said already, and keeps its lease.
  void HandOverSignal(const Write& write, MemoryBook::Row& row);
  // What was said first of what is waited for.
  static std::optional<KeptSignal> Said(const MemoryBook::Row& row, std::string_view waits_for);
  WriteResult WhyNot(const Write& write, uint64_t write_id);
  const MemoryKind& KindOf(const Record& record) { return book_.kinds[record.kind]; }

  MemoryBook& book_;
  const Clock& clock_;
  const Lease lease_;
  std::function<void(Task)> defer_;
  absl::Status error_;
  const Kinds* kinds_ = nullptr;
  GapHook in_gap_ = [](Gap) { return absl::OkStatus(); };
};

}  // namespace waybill::saga::testing
