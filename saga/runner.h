// Drives sagas of all the kinds that a process knows, from where their records stand to where they rest. Knows
// participants only through the definitions, and storage only through the journal.
//
// How a saga moves: Drive executes a command; what the calls answer gives the next one (saga/progress.h). Records are
// flushed to the journal as late as is safe: before the next call that has an effect outside, before backing off, and
// before settling. So transitions with no outside call between them share one commit.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "runtime/clock.h"
#include "runtime/ids.h"
#include "runtime/random.h"
#include "runtime/scheduler.h"
#include "saga/definition.h"
#include "saga/journal.h"
#include "saga/observer.h"
#include "saga/outcome.h"
#include "saga/progress.h"
#include "saga/record.h"
#include "saga/state.h"
#include "saga/trace.h"

namespace waybill::saga {

struct RunnerOptions {
  absl::Duration lease = absl::Seconds(10);  // as the journal's; renewed after a third of it
  int conflicts_max = 16;                    // lost claims in a row, after which the step counts as unknown
  size_t live_max = 20'000;  // sagas driven at a time; Start and Direct refuse more (RESOURCE_EXHAUSTED QUEUE_FULL)
  Tracer* tracer = nullptr;  // outlives the runner; null: nothing is traced
};

class Runner {
 public:
  using Begun = absl::AnyInvocable<void(absl::StatusOr<std::unique_ptr<Record>> existing)>;
  // Called exactly once: with the record where the saga came to rest, or as soon as it is durable that it is being
  // closed or that it waits (valid during the call only), or with why this process stopped driving it: ABORTED
  // SAGA_TAKEN_OVER, UNAVAILABLE.
  using Settled = absl::AnyInvocable<void(absl::StatusOr<const Record*>)>;
  // Lets a directive add to the books in the same commit.
  using Prepare = std::function<void(Record&)>;

  // Everything must outlive the runner, and be stopped (no callback in flight) before it is destroyed.
  Runner(const Kinds& kinds, Journal& journal, const Clock& clock, Scheduler& scheduler, Random& random,
         Observer& observer, RunnerOptions options);

  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Makes `fresh` durable and runs it. `begun` gets an error, the record that already holds the payload's deduplication
  // key, or null: durable and running. `settled` is called in the last case only.
  void Start(std::unique_ptr<Record> fresh, Begun begun, Settled settled);

  // Adds a waiter for a saga that this process drives; false, leaving `settled` untouched, when it does not.
  bool WhenSettled(const Uuid& id, Settled& settled);

  // Carries a directive out: on the saga as this process drives it, or after claiming it, from another process if need
  // be. Blocks on the journal. `settled` is called when the saga has come to rest; with NOT_FOUND or
  // FAILED_PRECONDITION when the directive is not possible, RESOURCE_EXHAUSTED QUEUE_FULL when there is no room for
  // what it would begin to drive. `prepare` runs when the directive takes effect.
  void Direct(const Uuid& id, Directive directive, Prepare prepare, Settled settled);

  // Makes durable what is said to a saga, and goes on with it here if it waited for that. Blocks on the journal.
  // NOT_FOUND SAGA_NOT_FOUND, INVALID_ARGUMENT for what can be no signal, RESOURCE_EXHAUSTED QUEUE_FULL when
  // kSignalsMax are kept for the saga, unless it waits for this one.
  absl::StatusOr<SignalResult> AddSignal(const Uuid& id, Signal signal);

  static constexpr size_t kClaimMax = 512;

  // Claims unfinished sagas that nobody drives (`own`: also those of this owner's earlier life), and those that waited
  // for what has been said, or long enough, and continues them, as long as fewer than `in_flight_max` recovered ones
  // are running, and at most kClaimMax at once; of `kind` alone, unless it is empty. Whoever asks sees to it that there
  // is room. Blocks on the journal; returns how many it claimed.
  absl::StatusOr<size_t> RecoverExpired(bool own, size_t in_flight_max, std::string_view kind = "");

  // Extends the leases that have used up a third of their time. Blocks on the journal, so it is for a thread of its
  // own: what keeps leases alive must wait for nothing else. Goes on with the rest when a part of them cannot be
  // extended.
  absl::Status RenewLeases();

  // Lets sagas that back off go at once and gives the others until `deadline` to come to rest. From then on nobody is
  // called and nothing is written; what still comes back is let go. Nothing may be started any more.
  void Stop(SteadyTime deadline);

  // Ends every lease of this owner, so that another process continues at once. After Stop, and when the journal has
  // written what it had: a write renews its lease. Blocks on the journal.
  absl::Status ReleaseLeases() { return journal_.ReleaseAll(); }

  size_t live() const;
  // Of these, the ones that RecoverExpired claimed and that have not backed off since: what only waits shall not keep
  // others from being recovered.
  size_t recovered_in_flight() const;
  // How many more may be driven.
  size_t room() const;
  // Of these, how many of one kind whoever recovers may add. A quarter of all places is left to those that begin here,
  // and to each other kind its part of a further quarter: a participant that is away holds up what needs it, for as
  // long as that takes, and nothing else.
  size_t room_to_recover(std::string_view kind) const;
  const Kinds& kinds() const { return kinds_; }

 private:
  struct Pending {
    Directive directive;
    Prepare prepare;
    Settled settled;
  };

  // One saga being driven. The first group belongs to whoever drives: at any time that is one thread, the calls in
  // flight, one journal write or one timer, and it hands them on to the next.
  struct Execution {
    Execution(const Definition& of, std::unique_ptr<Record> record, const Clock& clock, Observer& observer,
              Tracer* tracer)
        : definition(of),
          held{of.kind, record->id, record->epoch},
          trace(tracer, *record),
          progress(of, std::move(record), clock, observer) {}

    const Definition& definition;

    // What renewals look at while somebody drives: never changes.
    const Held held;

    Trace trace;
    Progress progress;
    std::vector<Progress::Answer> answers;  // of the calls in flight, each in its place
    std::atomic<int> unanswered{0};
    absl::InlinedVector<std::string, 1> traceparents;  // of the calls in flight that are sampled
    std::optional<KeptSignal> signal;                  // of what it is about to wait for, known since that was written
    std::vector<Pending> after_claim;  // directives since the claim that may be lost: they take effect again
    bool wrote = false;
    SteadyTime asked_at;  // when the write that is under way was handed to the journal: its lease runs from then on

    std::optional<SteadyTime> began;  // here, and not in another process or an earlier life
    bool recovered = false;           // guarded by Runner::mutex_; and has not backed off since
    SteadyTime renew_at;              // guarded by Runner::mutex_
    bool begun = false;               // guarded by Runner::mutex_; durable, so there is a lease to renew

    std::mutex mutex;  // guards what follows
    bool ended = false;
    std::vector<Pending> pending;
    std::vector<Settled> settled;
    std::optional<Scheduler::TimerId> timer;  // while backing off
  };
  using ExecutionPtr = std::shared_ptr<Execution>;

  // A saga that was claimed, of a kind and version that this process must know.
  ExecutionPtr Claimed(std::unique_ptr<Record> record);

  // --- The sagas that this process drives.

  void Insert(const ExecutionPtr& execution);
  ExecutionPtr Find(const Uuid& id) const;
  void Remove(const ExecutionPtr& execution);
  void Adopt(ExecutionPtr execution);
  absl::Status Renew(absl::Span<const ExecutionPtr> due);

  // --- Directives.

  // Leaves a directive with a saga that is being driven; it takes effect before the next call goes out. False: it
  // ended.
  bool Post(const ExecutionPtr& execution, Pending& pending);

  // Ends a backoff early. True: the caller drives now.
  bool Unpark(const ExecutionPtr& execution);

  // Carries out what was asked meanwhile. Returns the command to go on with.
  Command TakePending(Execution& e, Command command);

  // Refused: tells so. At rest, or closing: answers. Otherwise the asker waits for that like everybody else.
  void Answer(Execution& e, Pending& asked, const absl::Status& applied);

  // --- Driving.

  void Drive(ExecutionPtr execution, Command command);
  void Call(ExecutionPtr execution, const Progress::Steps& steps);
  void Flush(ExecutionPtr execution, Command command);
  void OnFlushed(ExecutionPtr execution, Command command, absl::StatusOr<WriteResult> result);

  void OnRefused(ExecutionPtr execution, const absl::Status& why);
  void TellWaiters(Execution& e, absl::StatusOr<const Record*> what);
  Command GoBackBeforeClaim(Execution& e);
  void Park(ExecutionPtr execution, absl::Duration pause);
  // Ends driving it here: it has come to rest, or waits.
  void Settle(ExecutionPtr execution, Command command);
  absl::Duration Age(const Execution& e) const;
  void LetGo(const ExecutionPtr& execution, const absl::Status& why);

  const Kinds& kinds_;
  Journal& journal_;
  const Clock& clock_;
  Scheduler& scheduler_;
  Random& random_;
  Observer& observer_;
  const RunnerOptions options_;

  mutable std::mutex mutex_;
  std::condition_variable all_ended_;
  absl::flat_hash_map<Uuid, ExecutionPtr> live_;
  std::map<std::string, size_t, std::less<>> live_of_;  // of each kind that there is
  size_t recovered_in_flight_ = 0;
  bool stopping_ = false;
  std::atomic<bool> stopped_{false};
};

}  // namespace waybill::saga
