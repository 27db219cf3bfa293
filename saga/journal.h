// The saga's memory. What is in the journal has happened; what is not may have to happen again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/reasons.h"
#include "runtime/ids.h"
#include "saga/outcome.h"
#include "saga/record.h"

namespace waybill::saga {

// Who drives a saga, and for how long since the journal's own clock at the write.
struct Lease {
  std::string instance;  // stable over restarts; two processes that run at once must not share it
  std::string life;      // of this process; never used before by this instance
  absl::Duration duration;

  std::string Owner() const { return instance + "/" + life; }
};

// One step forward of one saga: the record as it is to be, the entries to append, and what the journal must hold for it
// to be allowed: the record's epoch, and `expected_seq` as its newest entry.
struct Write {
  const Record* record = nullptr;
  std::span<const LogEntry> log;  // at least one; the last one's seq is record->seq
  int64_t expected_seq = 0;
  // For a record that waits, set before `done`: what has been said of that already, if anything has. Then it keeps its
  // lease and does not wait. Null: the record does not wait.
  std::optional<KeptSignal>* signal = nullptr;
  // The signal that this write acts on, which is kept no longer; 0: none.
  int64_t acts_on = 0;
};

// The reason of a status with which a journal refuses a write for good: nothing of it was written, and the same write
// never will be. Its metadata say why, if anything does ("sqlstate", "constraint").
inline constexpr std::string_view kStoreRefused = domain::FindReason("STORE_REFUSED").name;

enum class WriteResult {
  kApplied,   // durable, with the payload's effects
  kFenced,    // somebody else has claimed or written the saga since: this process must let go of it
  kConflict,  // the payload's claim was lost to another saga: nothing was written; pick again
};

enum class ClaimMode {
  kExpired,   // only when no live lease is in the way
  kWoken,     // only one that waited, and has been signalled or has waited long enough
  kTakeOver,  // in any case: the raised epoch fences the present owner
};

// Where another process can come in between while a journal works. Tests stand in these places; nobody else does.
enum class Gap : uint8_t {
  kAfterBegin,    // the new sagas are durable; who holds the keys of the others is not looked up yet
  kAfterAdvance,  // the writes are durable; why the others were refused is not looked up yet
  kAfterClaim,    // claimed, and not yet answered
  kNotClaimed,    // there was nothing to claim; the record is not looked up yet
};
// Not OK: the answer to what was just done is lost. A write is then repeated; a claim fails with this.
using GapHook = std::function<absl::Status(Gap)>;

// Signals that are kept for one saga.
inline constexpr int kSignalsMax = 16;

// What a claim holds: one saga under one epoch.
struct Held {
  std::string_view kind;
  Uuid id;
  int64_t epoch = 0;
};

// For sagas of several kinds: each record says of which it is.
class Journal {
 public:
  using BeginDone = absl::AnyInvocable<void(absl::StatusOr<std::unique_ptr<Record>> existing)>;
  using AdvanceDone = absl::AnyInvocable<void(absl::StatusOr<WriteResult>)>;

  virtual ~Journal() = default;

  // --- Asynchronous; `done` is called exactly once, on any thread, perhaps before the call returns. What is passed by
  // reference stays valid and unchanged until then. A status that is not OK means unknown: it may have been written;
  // but see kStoreRefused.

  // Makes a new saga durable, under this owner's lease, before its first call goes out. Null: it is. Otherwise the
  // record that already holds the payload's deduplication key: nothing was written, or another process has claimed this
  // very saga since. RESOURCE_EXHAUSTED: the queue is full.
  virtual void Begin(const Record& record, BeginDone done) = 0;

  // Also renews the lease; when the new state is not unfinished, or the record waits, ends it. kApplied only for this
  // very call: another write, even of the same record, is told apart.
  virtual void Advance(const Write& write, AdvanceDone done) = 0;

  // --- Synchronous; they block on the store. A claimed record is as of that very claim: its epoch is the one that this
  // claim made, which no other claim ever has, and everything that was written before is in it.

  // Claims up to `limit` unfinished sagas whose lease has expired, or that this instance held in an earlier life
  // (`own`), or that waited and have been signalled or have waited long enough; of `kind` alone, unless it is empty.
  // Never waits for rows that another process is working on.
  virtual absl::StatusOr<std::vector<std::unique_ptr<Record>>> ClaimExpired(bool own, size_t limit,
                                                                            std::string_view kind) = 0;
  absl::StatusOr<std::vector<std::unique_ptr<Record>>> ClaimExpired(bool own, size_t limit) {
    return ClaimExpired(own, limit, "");
  }

  // Claims one saga for this owner and raises its epoch. Terminal sagas are answered as they are, unclaimed. NOT_FOUND;
  // FAILED_PRECONDITION (reason SAGA_LEASED) when a live lease is in the way.
  virtual absl::StatusOr<std::unique_ptr<Record>> Claim(const Uuid& id, ClaimMode mode) = 0;

  // Makes durable what is said to a saga. NOT_FOUND SAGA_NOT_FOUND; RESOURCE_EXHAUSTED QUEUE_FULL when kSignalsMax are
  // kept for it.
  virtual absl::StatusOr<SignalResult> AddSignal(const Uuid& id, const Signal& signal) = 0;

  // Extends the lease of those that are still ours; answers the ones that are not. Waits neither for the calls above
  // nor for rows that another process is working on. One caller at a time.
  virtual absl::StatusOr<std::vector<Uuid>> Renew(std::span<const Held> held) = 0;

  // Ends every lease of this owner, so that another process takes over at once.
  virtual absl::Status ReleaseAll() = 0;

  virtual absl::StatusOr<std::unique_ptr<Record>> Load(const Uuid& id) = 0;  // NOT_FOUND
  // Entries from `from_seq` on, in order.
  virtual absl::StatusOr<std::vector<LogEntry>> LoadLog(const Uuid& id, int64_t from_seq) = 0;
};

}  // namespace waybill::saga
