// Drives sagas from where their records stand to where they rest. Generic over the payload P; knows participants only
// through the definition, and storage only through the journal.
//
// How a saga moves: Drive executes the transition table's command; a call's Outcome becomes an Event; the event's row
// gives the next state and command. Records are flushed to the journal as late as is safe: before the next call that
// has an effect outside, before backing off, and before settling. So transitions with no outside call between them
// share one commit.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "fmt/format.h"
#include "runtime/clock.h"
#include "runtime/failpoint.h"
#include "runtime/ids.h"
#include "runtime/random.h"
#include "runtime/scheduler.h"
#include "runtime/status.h"
#include "runtime/text.h"
#include "saga/definition.h"
#include "saga/journal.h"
#include "saga/record.h"
#include "saga/retry_policy.h"
#include "saga/transition.h"

namespace waybill::saga {

// Which of a step's actions is called.
enum class Direction { kDo, kUndo, kClose };

// What a runner tells the world; called on the saga's own path, so it must be quick and must not block.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void OnAttempt(std::string_view step, Direction direction, Outcome::Kind outcome, absl::Duration took) {}
  virtual void OnRetry(std::string_view step, Direction direction) {}
  virtual void OnTransition(const Header& header) {}  // after every journal write
  virtual void OnSettled(const Header& header, absl::Duration age) {}
  virtual void OnNeedsAttention(const Header& header) {}
  virtual void OnRecovered(const Header& header) {}
  virtual void OnFenced(const Header& header) {}
  virtual void OnLostClaim(const Header& header) {}
  // The store refuses a write for good; `header` is what was to be written.
  virtual void OnRefused(const Header& header, const absl::Status& why) {}
};

// What a person or a client asks of one saga.
struct Directive {
  enum class Kind {
    kCancel,   // turn it back; harmless when it is turned back already
    kClose,    // end a succeeded one for good; harmless when it is closed already, or being closed
    kRetry,    // try what it is backing off from at once
    kResolve,  // end one that needs attention
  };
  Kind kind = Kind::kCancel;
  std::string detail;  // goes to the log
};

// The reason of a directive that is refused: the saga's state, which metadata `state` names, does not allow it.
inline constexpr std::string_view kStateForbids = "SAGA_STATE_FORBIDS";

// What a log entry and a failure hold of a text from outside, in bytes.
inline constexpr size_t kReasonBytesMax = 128;
inline constexpr size_t kDetailBytesMax = 4096;

struct RunnerOptions {
  absl::Duration lease = absl::Seconds(10);  // as the journal's; renewed after a third of it
  int conflicts_max = 16;                    // lost claims in a row, after which the step counts as unknown
  size_t live_max = 20'000;  // sagas driven at a time; Start refuses more (RESOURCE_EXHAUSTED QUEUE_FULL)
};

template <typename P>
class Runner {
 public:
  using Begun = absl::AnyInvocable<void(absl::StatusOr<std::optional<Record<P>>>)>;
  // Called exactly once: with the record where the saga came to rest, or as soon as it is durable that it is being
  // closed (valid during the call only), or with why this process stopped driving it: ABORTED SAGA_TAKEN_OVER,
  // UNAVAILABLE.
  using Settled = absl::AnyInvocable<void(absl::StatusOr<const Record<P>*>)>;
  // Lets a directive add to the books in the same commit.
  using Prepare = std::function<void(P&)>;

  // Everything must outlive the runner, and be stopped (no callback in flight) before it is destroyed.
  Runner(const Definition<P>& definition, Journal<P>& journal, const Clock& clock, Scheduler& scheduler, Random& random,
         Observer& observer, RunnerOptions options)
      : definition_(definition),
        journal_(journal),
        clock_(clock),
        scheduler_(scheduler),
        random_(random),
        observer_(observer),
        options_(options) {}

  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Makes `fresh` durable and runs it. `begun` gets an error, the record that already holds the payload's deduplication
  // key, or nullopt: durable and running. `settled` is called in the last case only.
  void Start(Record<P> fresh, Begun begun, Settled settled) {
    auto execution = std::make_shared<Execution>();
    Execution& e = *execution;
    e.record = std::move(fresh);
    e.began = clock_.Steady();
    if (live() >= options_.live_max) {
      begun(MakeError(absl::StatusCode::kResourceExhausted, "too many unfinished sagas",
                      {.reason = "QUEUE_FULL", .retry_after = absl::Seconds(1)}));
      return;
    }
    e.settled.push_back(std::move(settled));
    Insert(execution);
    journal_.Begin(e.record, [this, execution = std::move(execution),
                              begun = std::move(begun)](absl::StatusOr<std::optional<Record<P>>> existing) mutable {
      if (!existing.ok() || existing->has_value()) {
        // Nobody can have learnt this id, so nobody else waits for it.
        execution->settled.clear();
        Remove(execution);
        begun(std::move(existing));
        return;
      }
      {
        std::lock_guard lock(mutex_);
        execution->begun = true;
      }
      begun(std::move(existing));
      observer_.OnTransition(execution->record);
      Drive(std::move(execution), Command::kDoStep);
    });
  }

  // Adds a waiter for a saga that this process drives; false, leaving `settled` untouched, when it does not.
  bool WhenSettled(const Uuid& id, Settled& settled) {
    ExecutionPtr execution = Find(id);
    if (!execution) return false;
    std::lock_guard lock(execution->mutex);
    if (execution->ended) return false;
    execution->settled.push_back(std::move(settled));
    return true;
  }

  // Carries a directive out: on the saga as this process drives it, or after claiming it, from another process if need
  // be. Blocks on the journal. `settled` is called when the saga has come to rest; with NOT_FOUND or
  // FAILED_PRECONDITION when the directive is not possible. `prepare` runs when the directive takes effect.
  void Direct(const Uuid& id, Directive directive, Prepare prepare, Settled settled) {
    directive.detail = CleanText(std::move(directive.detail), kDetailBytesMax);
    Pending pending{std::move(directive), std::move(prepare), std::move(settled)};
    if (ExecutionPtr execution = Find(id); execution && Post(execution, pending)) return;
    absl::StatusOr<Record<P>> claimed = journal_.Claim(id, ClaimMode::kTakeOver);
    if (!claimed.ok()) {
      pending.settled(claimed.status());
      return;
    }
    auto execution = std::make_shared<Execution>();
    execution->record = *std::move(claimed);
    execution->persisted_seq = execution->record.seq;
    execution->pending.push_back(std::move(pending));
    if (IsTerminal(execution->record.state)) {
      Pending asked = std::move(execution->pending.front());
      execution->pending.clear();
      Answer(*execution, asked, Apply(*execution, asked));
      return;
    }
    Adopt(std::move(execution));
  }

  static constexpr size_t kClaimMax = 512;

  // Claims unfinished sagas that nobody drives (`own`: also those of this owner's earlier life) and continues them, as
  // long as fewer than `in_flight_max` recovered ones are running, and at most kClaimMax at once. Blocks on the
  // journal; returns how many it claimed.
  absl::StatusOr<size_t> RecoverExpired(bool own, size_t in_flight_max) {
    const size_t in_flight = recovered_in_flight();
    if (in_flight >= in_flight_max) return size_t{0};
    auto claimed = journal_.ClaimExpired(own, std::min(kClaimMax, in_flight_max - in_flight));
    if (!claimed.ok()) return claimed.status();
    WAYBILL_FAILPOINT("recover.after_claim");
    for (Record<P>& record : *claimed) {
      auto execution = std::make_shared<Execution>();
      execution->record = std::move(record);
      execution->persisted_seq = execution->record.seq;
      execution->recovered = true;
      observer_.OnRecovered(execution->record);
      Adopt(std::move(execution));
    }
    return claimed->size();
  }

  // Extends the leases that have used up a third of their time. Blocks on the journal, so it is for a thread of its
  // own: what keeps leases alive must wait for nothing else. Goes on with the rest when a part of them cannot be
  // extended.
  absl::Status RenewLeases() {
    constexpr size_t kPiece = 1'000;  // of a write: what is slow is then slow for a part
    std::vector<ExecutionPtr> due;
    {
      const SteadyTime now = clock_.Steady();
      std::lock_guard lock(mutex_);
      for (auto& [id, execution] : live_) {
        if (execution->begun && execution->renew_at <= now) due.push_back(execution);
      }
    }
    if (due.empty()) return absl::OkStatus();
    WAYBILL_FAILPOINT("lease.before_renew");
    absl::Status status;
    for (size_t from = 0; from < due.size(); from += kPiece) {
      status.Update(Renew(absl::MakeConstSpan(due).subspan(from, kPiece)));
    }
    return status;
  }

  // Lets sagas that back off go at once and gives the others until `deadline` to come to rest. From then on nobody is
  // called and nothing is written; what still comes back is let go. Nothing may be started any more.
  void Stop(SteadyTime deadline) {
    std::vector<ExecutionPtr> parked;
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      for (auto& [id, execution] : live_) parked.push_back(execution);
    }
    for (const ExecutionPtr& execution : parked) {
      if (Unpark(execution)) LetGo(execution, ShuttingDown());
    }
    std::unique_lock lock(mutex_);
    absl::Duration wait = std::max(deadline - clock_.Steady(), absl::ZeroDuration());
    all_ended_.wait_for(lock, absl::ToChronoNanoseconds(wait), [this] { return live_.empty(); });
    stopped_ = true;
  }

  // Ends every lease of this owner, so that another process continues at once. After Stop, and when the journal has
  // written what it had: a write renews its lease. Blocks on the journal.
  absl::Status ReleaseLeases() { return journal_.ReleaseAll(); }

  size_t live() const {
    std::lock_guard lock(mutex_);
    return live_.size();
  }
  // Of these, the ones that RecoverExpired claimed.
  size_t recovered_in_flight() const {
    std::lock_guard lock(mutex_);
    return recovered_in_flight_;
  }

 private:
  struct Pending {
    Directive directive;
    Prepare prepare;
    Settled settled;
  };

  // One saga being driven. `record`, `log` and the rest of the first group belong to whoever drives: at any time that
  // is one thread, one call in flight, one journal write or one timer, and it hands them on to the next.
  struct Execution {
    Record<P> record;
    std::vector<LogEntry> log;  // not yet in the journal
    int64_t persisted_seq = 0;
    bool must_flush = false;
    int conflicts = 0;
    bool wrote = false;
    bool refused = false;  // by the store, for good: what was to be written last
    // True: a call of the step being done may have had an effect, or may still have one, of which nobody has heard. One
    // was answered unknown, or the saga was claimed, and its owner before may have had a call in flight. It needs no
    // place in the journal: whoever goes on with what another life began claims it first.
    bool in_doubt = false;
    std::optional<SteadyTime> tried_since;  // the step being done: its first attempt here
    struct Checkpoint {
      State state;
      int step;
      int attempt;
      int64_t seq;
      size_t log_size;
      typename P::Effects effects;
      bool journaled;
    };
    // Where to go back to when the claim that was made since the last write is lost, and the directives that took
    // effect since then: they do again.
    std::optional<Checkpoint> before_claim;
    std::vector<Pending> after_claim;

    std::optional<SteadyTime> began;  // here, and not in another process or an earlier life
    bool recovered = false;
    SteadyTime renew_at;  // guarded by Runner::mutex_
    bool begun = false;   // guarded by Runner::mutex_; durable, so there is a lease to renew

    std::mutex mutex;  // guards what follows
    bool ended = false;
    std::vector<Pending> pending;
    std::vector<Settled> settled;
    std::optional<Scheduler::TimerId> timer;  // while backing off
  };
  using ExecutionPtr = std::shared_ptr<Execution>;

  static absl::Status TakenOver() {
    return MakeError(absl::StatusCode::kAborted, "another process took the saga over", {.reason = "SAGA_TAKEN_OVER"});
  }
  static absl::Status ShuttingDown() {
    return MakeError(absl::StatusCode::kUnavailable, "this process is draining; the saga goes on elsewhere",
                     {.reason = "SHUTTING_DOWN"});
  }

  // --- The sagas that this process drives.

  void Insert(const ExecutionPtr& execution) {
    std::lock_guard lock(mutex_);
    execution->renew_at = clock_.Steady() + options_.lease / 3;
    if (execution->recovered) ++recovered_in_flight_;
    live_[execution->record.id] = execution;
  }

  ExecutionPtr Find(const Uuid& id) const {
    std::lock_guard lock(mutex_);
    auto it = live_.find(id);
    return it == live_.end() ? nullptr : it->second;
  }

  void Remove(const ExecutionPtr& execution) {
    std::lock_guard lock(mutex_);
    if (execution->recovered) --recovered_in_flight_;
    auto it = live_.find(execution->record.id);
    if (it != live_.end() && it->second == execution) live_.erase(it);
    if (live_.empty()) all_ended_.notify_all();
  }

  void Adopt(ExecutionPtr execution) {
    Insert(execution);
    Execution& e = *execution;
    {
      std::lock_guard lock(mutex_);
      e.begun = true;
    }
    if (!IsUnfinished(e.record.state)) {
      Drive(std::move(execution), Command::kSettle);
      return;
    }
    e.in_doubt = e.record.state == State::kRunning;
    AddLog(e, LogOutcome::kRecovered, "", fmt::format("epoch {}", e.record.epoch));
    Command command = Move(e, Event::kRecovered);
    Drive(std::move(execution), command);
  }

  absl::Status Renew(absl::Span<const ExecutionPtr> due) {
    std::vector<std::pair<Uuid, int64_t>> keys;
    keys.reserve(due.size());
    for (const ExecutionPtr& execution : due) keys.emplace_back(execution->record.id, execution->record.epoch);
    const SteadyTime asked = clock_.Steady();
    absl::StatusOr<std::vector<Uuid>> answer = journal_.Renew(keys);
    if (!answer.ok()) return answer.status();
    const absl::flat_hash_set<Uuid> lost(answer->begin(), answer->end());
    for (const ExecutionPtr& execution : due) {
      if (!lost.contains(execution->record.id)) {
        std::lock_guard lock(mutex_);
        execution->renew_at = std::max(execution->renew_at, asked + options_.lease / 3);
      } else if (Unpark(execution)) {
        LetGo(execution, TakenOver());  // the others find out at their next write
      }
    }
    return absl::OkStatus();
  }

  // --- Directives.

  // Leaves a directive with a saga that is being driven; it takes effect before the next call goes out. False: it
  // ended.
  bool Post(const ExecutionPtr& execution, Pending& pending) {
    {
      std::lock_guard lock(execution->mutex);
      if (execution->ended) return false;
      execution->pending.push_back(std::move(pending));
    }
    if (Unpark(execution)) Drive(execution, Resume(*execution));
    return true;
  }

  // Ends a backoff early. True: the caller drives now.
  bool Unpark(const ExecutionPtr& execution) {
    std::lock_guard lock(execution->mutex);
    if (!execution->timer || !scheduler_.Cancel(*execution->timer)) return false;
    execution->timer.reset();
    return true;
  }

  // What to do with one that is unfinished.
  static Command Resume(const Execution& e) {
    switch (e.record.state) {
      case State::kRunning:
        return Command::kDoStep;
      case State::kClosing:
        return Command::kCloseStep;
      default:
        return Command::kUndoStep;
    }
  }

  // Carries out what was asked meanwhile. Returns the command to go on with.
  Command TakePending(Execution& e, Command command) {
    while (true) {
      std::optional<Pending> asked;
      {
        std::lock_guard lock(e.mutex);
        if (e.pending.empty()) return command;
        asked.emplace(std::move(e.pending.front()));
        e.pending.erase(e.pending.begin());
      }
      State before = e.record.state;
      absl::Status applied = Apply(e, *asked);
      if (e.record.state != before) command = IsUnfinished(e.record.state) ? Resume(e) : Command::kSettle;
      Answer(e, *asked, applied);
      if (applied.ok() && e.before_claim) {
        asked->settled = [](auto) {};  // whoever asked has the answer, or waits for the end
        e.after_claim.push_back(*std::move(asked));
      }
    }
  }

  // Refused: tells so. At rest, or closing: answers. Otherwise the asker waits for that like everybody else.
  void Answer(Execution& e, Pending& asked, const absl::Status& applied) {
    const bool closing = e.record.state == State::kClosing && asked.directive.kind != Directive::Kind::kRetry;
    if (!applied.ok()) {
      asked.settled(applied);
    } else if ((IsTerminal(e.record.state) || closing) && !e.must_flush) {
      asked.settled(&e.record);
    } else {
      std::lock_guard lock(e.mutex);
      e.settled.push_back(std::move(asked.settled));
    }
  }

  absl::Status Apply(Execution& e, Pending& asked) {
    const State state = e.record.state;
    auto refuse = [&](std::string_view why) {
      return MakeError(absl::StatusCode::kFailedPrecondition, fmt::format("the saga is {}: {}", Name(state), why),
                       {.reason = std::string(kStateForbids), .metadata = {{"state", std::string(Name(state))}}});
    };
    switch (asked.directive.kind) {
      case Directive::Kind::kCancel:
        if (state == State::kCompensating || state == State::kCompensated) return absl::OkStatus();
        if (!FindTransition(state, Event::kCancelRequested)) return refuse("it can no longer be turned back");
        if (state == State::kSucceeded) e.record.step = static_cast<int>(definition_.steps.size()) - 1;
        e.record.attempt = 1;
        e.record.failure = {std::string(kCancelledReason), asked.directive.detail};
        AddLog(e, LogOutcome::kCancelled, "", asked.directive.detail);
        Move(e, Event::kCancelRequested);
        break;
      case Directive::Kind::kClose:
        if (state == State::kClosing || state == State::kClosed) return absl::OkStatus();
        if (!FindTransition(state, Event::kCloseRequested)) return refuse("only a succeeded one can be closed");
        e.record.step = 0;
        e.record.attempt = 1;
        AddLog(e, LogOutcome::kClosed, "", asked.directive.detail);
        Move(e, Event::kCloseRequested);
        break;
      case Directive::Kind::kRetry:
        if (!IsUnfinished(state)) return refuse("there is nothing to retry");
        return absl::OkStatus();
      case Directive::Kind::kResolve:
        if (!FindTransition(state, Event::kResolveRequested) || !e.record.needs_attention) {
          return refuse("only one that is compensating or closing, and needs attention, can be resolved");
        }
        AddLog(e, LogOutcome::kResolved, "", asked.directive.detail);
        e.record.needs_attention = false;
        Move(e, Event::kResolveRequested);
        break;
    }
    e.must_flush = true;
    if (asked.prepare) asked.prepare(e.record.payload);
    return absl::OkStatus();
  }

  // --- Driving.

  void Drive(ExecutionPtr execution, Command command) {
    Execution& e = *execution;
    command = TakePending(e, command);
    switch (command) {
      case Command::kDoStep:
      case Command::kUndoStep:
      case Command::kCloseStep: {
        const Step<P>& step = definition_.steps[static_cast<size_t>(e.record.step)];
        const Direction direction = command == Command::kDoStep     ? Direction::kDo
                                    : command == Command::kUndoStep ? Direction::kUndo
                                                                    : Direction::kClose;
        const Action<P>& action = direction == Direction::kDo     ? step.does
                                  : direction == Direction::kUndo ? step.undone_by
                                                                  : step.closed_by;
        if (direction != Direction::kDo && !action.call) {
          Drive(std::move(execution), direction == Direction::kUndo ? StepUndone(e) : StepClosed(e));
        } else if (e.must_flush && !action.journaled && !WAYBILL_FAULT("act_before_persist")) {
          Flush(std::move(execution), command);
        } else {
          Call(std::move(execution), step, action, direction);
        }
        return;
      }
      case Command::kRetryLater:
        if (e.must_flush) {
          Flush(std::move(execution), command);
        } else {
          BackOff(std::move(execution));
        }
        return;
      case Command::kSettle:
        if (e.must_flush) {
          Flush(std::move(execution), command);
        } else {
          Settle(std::move(execution));
        }
        return;
    }
  }

  void Call(ExecutionPtr execution, const Step<P>& step, const Action<P>& action, Direction direction) {
    Execution& e = *execution;
    const bool doing = direction == Direction::kDo;
    if (stopped_) return LetGo(execution, ShuttingDown());
    // The first of several journaled calls that share a commit; of the others, the one that the next commit is about.
    if (doing && (!e.before_claim || !e.before_claim->journaled)) {
      e.before_claim = {e.record.state,           e.record.step,   e.record.attempt, e.record.seq, e.log.size(),
                        e.record.payload.effects, action.journaled};
      e.after_claim.clear();
    }
    Attempt attempt;
    attempt.saga_id = e.record.id;
    attempt.step = step.name;
    attempt.number = e.record.attempt;
    attempt.conflicts = e.conflicts;
    const SteadyTime started = clock_.Steady();
    if (doing && !e.tried_since) e.tried_since = started;
    attempt.deadline = started + step.retry.attempt_timeout;
    attempt.traceparent = e.record.traceparent;
    action.call(attempt, e.record.payload,
                [this, execution = std::move(execution), &step, direction, started](Outcome outcome) mutable {
                  observer_.OnAttempt(step.name, direction, outcome.kind, clock_.Steady() - started);
                  // A participant's words, which nobody has looked at.
                  outcome.reason = CleanText(std::move(outcome.reason), kReasonBytesMax);
                  outcome.detail = CleanText(std::move(outcome.detail), kDetailBytesMax);
                  Command command = After(*execution, step, direction, std::move(outcome));
                  Drive(std::move(execution), command);
                });
  }

  Command After(Execution& e, const Step<P>& step, Direction direction, Outcome outcome) {
    if (direction == Direction::kDo) return AfterDo(e, step, std::move(outcome));
    return AfterLasting(e, step, direction, std::move(outcome));
  }

  Command AfterDo(Execution& e, const Step<P>& step, Outcome outcome) {
    if (outcome.kind == Outcome::Kind::kUnknown && WAYBILL_FAULT("fail_over_on_timeout")) {
      outcome.kind = Outcome::Kind::kRejected;
    }
    Header& at = e.record;
    e.must_flush = true;
    switch (outcome.kind) {
      case Outcome::Kind::kSucceeded: {
        AddLog(e, LogOutcome::kSucceeded, step.name, std::move(outcome.detail));
        e.in_doubt = false;
        e.tried_since.reset();
        at.needs_attention = false;
        if (at.step + 1 == static_cast<int>(definition_.steps.size())) return Move(e, Event::kLastStepSucceeded);
        ++at.step;
        at.attempt = 1;
        return Move(e, Event::kStepSucceeded);
      }
      case Outcome::Kind::kRejected:
        AddLog(e, LogOutcome::kRejected, step.name, Explain(outcome));
        at.failure = {std::move(outcome.reason), std::move(outcome.detail)};
        at.attempt = 1;
        // What this call was refused says nothing about a call before it that may yet go through: undoing the step
        // closes its key.
        if (e.in_doubt && !step.does.journaled && !WAYBILL_FAULT("believe_a_late_refusal")) {
          return Move(e, Event::kStepRejected);
        }
        if (at.step == 0) return Move(e, Event::kFirstStepRejected);
        --at.step;
        return Move(e, Event::kStepRejected);
      case Outcome::Kind::kUnknown:
        AddLog(e, LogOutcome::kUnknown, step.name, Explain(outcome));
        e.in_doubt = true;
        if (!outcome.give_up && (at.attempt < step.retry.attempts_max || TimeLeft(e, step) > absl::ZeroDuration())) {
          ++at.attempt;
          observer_.OnRetry(step.name, Direction::kDo);
          return Move(e, Event::kStepUnknown);
        }
        at.failure = {std::move(outcome.reason), std::move(outcome.detail)};
        at.attempt = 1;
        return Move(e, Event::kBudgetSpent);
    }
    return Command::kSettle;
  }

  absl::Duration TimeLeft(const Execution& e, const Step<P>& step) const {
    const SteadyTime now = clock_.Steady();
    return e.tried_since.value_or(now) + step.retry.retry_for - now;
  }

  // After undoing or closing a step.
  Command AfterLasting(Execution& e, const Step<P>& step, Direction direction, Outcome outcome) {
    Header& at = e.record;
    const bool undo = direction == Direction::kUndo;
    if (outcome.kind == Outcome::Kind::kSucceeded) {
      e.must_flush = true;
      AddLog(e, undo ? LogOutcome::kUndone : LogOutcome::kClosed, step.name, std::move(outcome.detail));
      return undo ? StepUndone(e) : StepClosed(e);
    }
    // Neither ever gives up, so the log must not grow without end: failures are logged until somebody has been called,
    // and from then on at attempts 16, 32, 64, ...
    const bool power_of_two = (at.attempt & (at.attempt - 1)) == 0;
    if (!at.needs_attention || power_of_two) {
      e.must_flush = true;
      AddLog(e, undo ? LogOutcome::kUndoFailed : LogOutcome::kUnknown, step.name, Explain(outcome));
    }
    if (!at.needs_attention && at.attempt >= step.retry.attention_after) {
      at.needs_attention = true;
      AddLog(e, LogOutcome::kNeedsAttention, step.name,
             fmt::format("{} attempts to {} failed", at.attempt, undo ? "undo" : "close"));
      observer_.OnNeedsAttention(at);
    }
    ++at.attempt;
    observer_.OnRetry(step.name, direction);
    return Move(e, undo ? Event::kUndoFailed : Event::kCloseFailed);
  }

  Command StepUndone(Execution& e) {
    e.must_flush = true;
    e.record.needs_attention = false;
    // Every journal write carries an entry, also when there was nothing to undo.
    if (e.log.empty()) {
      AddLog(e, LogOutcome::kUndone, definition_.steps[static_cast<size_t>(e.record.step)].name, "nothing to undo");
    }
    if (e.record.step == 0) return Move(e, Event::kLastStepUndone);
    --e.record.step;
    e.record.attempt = 1;
    return Move(e, Event::kStepUndone);
  }

  Command StepClosed(Execution& e) {
    e.must_flush = true;
    e.record.needs_attention = false;
    if (e.log.empty()) {
      AddLog(e, LogOutcome::kClosed, definition_.steps[static_cast<size_t>(e.record.step)].name, "nobody to tell");
    }
    if (e.record.step + 1 == static_cast<int>(definition_.steps.size())) return Move(e, Event::kLastStepClosed);
    ++e.record.step;
    e.record.attempt = 1;
    return Move(e, Event::kStepClosed);
  }

  static std::string Explain(const Outcome& outcome) {
    if (outcome.detail.empty()) return outcome.reason;
    return fmt::format("{}: {}", outcome.reason, outcome.detail);
  }

  Command Move(Execution& e, Event event) {
    std::optional<Transition> row = FindTransition(e.record.state, event);
    if (!row) std::abort();  // the runner asked for what the table does not allow: a bug, and money is at stake
    e.record.state = row->to;
    for (LogEntry& entry : e.log) entry.state = row->to;
    return row->command;
  }

  void AddLog(Execution& e, LogOutcome outcome, std::string_view step, std::string detail) {
    LogEntry entry;
    entry.seq = ++e.record.seq;
    entry.step = std::string(step);
    entry.attempt = step.empty() ? 0 : e.record.attempt;
    entry.outcome = outcome;
    entry.state = e.record.state;
    entry.detail = std::move(detail);
    entry.at = clock_.Now();
    e.log.push_back(std::move(entry));
  }

  void Flush(ExecutionPtr execution, Command command) {
    Execution& e = *execution;
    if (stopped_) return LetGo(execution, ShuttingDown());
    e.record.updated_at = e.log.back().at;
    Write<P> write{&e.record, e.log, e.persisted_seq};
    journal_.Advance(write,
                     [this, execution = std::move(execution), command](absl::StatusOr<WriteResult> result) mutable {
                       OnFlushed(std::move(execution), command, std::move(result));
                     });
  }

  void OnFlushed(ExecutionPtr execution, Command command, absl::StatusOr<WriteResult> result) {
    Execution& e = *execution;
    if (!result.ok()) {
      if (GetErrorDetail(result.status()).reason == kStoreRefused) {
        OnRefused(std::move(execution), result.status());
      } else {
        LetGo(execution, result.status());  // perhaps written, perhaps not: whoever claims it next reads the truth
      }
      return;
    }
    switch (*result) {
      case WriteResult::kApplied:
        e.persisted_seq = e.record.seq;
        e.log.clear();
        e.must_flush = false;
        e.conflicts = 0;
        e.refused = false;
        e.before_claim.reset();
        e.after_claim.clear();
        e.record.payload.effects = {};
        {
          std::lock_guard lock(mutex_);
          e.renew_at = clock_.Steady() + options_.lease / 3;
        }
        e.wrote = true;
        observer_.OnTransition(e.record);
        if (e.record.state == State::kClosing) TellWaiters(e, &e.record);
        Drive(std::move(execution), command);
        return;
      case WriteResult::kFenced:
        observer_.OnFenced(e.record);
        LetGo(execution, TakenOver());
        return;
      case WriteResult::kConflict:
        observer_.OnLostClaim(e.record);
        if (!e.before_claim) std::abort();  // a conflict without a claim: a bug in the journal
        command = GoBackBeforeClaim(e);
        Drive(std::move(execution), command);
        return;
    }
  }

  // The store would refuse this write for ever. What the last call brought is dropped, and its attempt counts as
  // unknown: so budgets are spent and the saga turns back, by writes that hold no foreign text. A person is called.
  void OnRefused(ExecutionPtr execution, const absl::Status& why) {
    Execution& e = *execution;
    observer_.OnRefused(e.record, why);
    const bool refused_again = std::exchange(e.refused, true);
    const bool had_directive = std::any_of(e.log.begin(), e.log.end(), [](const LogEntry& entry) {
      return entry.outcome == LogOutcome::kCancelled || entry.outcome == LogOutcome::kClosed ||
             entry.outcome == LogOutcome::kResolved;
    });
    absl::StatusOr<Record<P>> durable = journal_.Load(e.record.id);
    if (!durable.ok() || durable->epoch != e.record.epoch || durable->seq != e.persisted_seq) {
      LetGo(execution, durable.ok() ? TakenOver() : durable.status());
      return;
    }
    e.record = *std::move(durable);
    e.log.clear();
    e.before_claim.reset();
    e.after_claim.clear();
    e.conflicts = 0;
    e.in_doubt = true;
    if (!IsUnfinished(e.record.state)) {  // at rest, until a directive came that cannot be written
      LetGo(execution, why);
      return;
    }
    if (had_directive) TellWaiters(e, why);
    std::string what = "the store refused what was to be written";
    for (const auto& [name, value] : GetErrorDetail(why).metadata) what += fmt::format(", {} {}", name, value);
    const Step<P>& step = definition_.steps[static_cast<size_t>(e.record.step)];
    if (!e.record.needs_attention) AddLog(e, LogOutcome::kNeedsAttention, step.name, what);
    e.record.needs_attention = true;
    Outcome outcome = Outcome::Unknown(std::string(kStoreRefused), std::move(what));
    const Direction direction = e.record.state == State::kRunning   ? Direction::kDo
                                : e.record.state == State::kClosing ? Direction::kClose
                                                                    : Direction::kUndo;
    Command command = After(e, step, direction, std::move(outcome));
    e.must_flush = !e.log.empty();
    if (refused_again) {
      Park(std::move(execution), step.retry.undo_backoff_max);  // and then once more
    } else if (e.must_flush) {
      Flush(std::move(execution), command);
    } else {
      Drive(std::move(execution), command);
    }
  }

  void TellWaiters(Execution& e, absl::StatusOr<const Record<P>*> what) {
    std::vector<Settled> settled;
    {
      std::lock_guard lock(e.mutex);
      settled.swap(e.settled);
    }
    for (Settled& waiter : settled) waiter(what);
  }

  Command GoBackBeforeClaim(Execution& e) {
    e.record.state = e.before_claim->state;
    e.record.step = e.before_claim->step;
    e.record.attempt = e.before_claim->attempt;
    e.record.seq = e.before_claim->seq;
    e.record.failure = {};
    e.record.payload.effects = e.before_claim->effects;
    for (size_t i = static_cast<size_t>(e.record.step); i < definition_.steps.size(); ++i) {
      if (auto& claim_lost = definition_.steps[i].does.claim_lost) claim_lost(e.record.payload);
    }
    {
      std::lock_guard lock(e.mutex);
      e.pending.insert(e.pending.begin(), std::make_move_iterator(e.after_claim.begin()),
                       std::make_move_iterator(e.after_claim.end()));
    }
    e.after_claim.clear();
    e.in_doubt = true;  // the call itself went through
    e.log.resize(e.before_claim->log_size);
    e.must_flush = !e.log.empty();
    e.before_claim.reset();
    if (++e.conflicts <= options_.conflicts_max) return Command::kDoStep;
    e.conflicts = 0;
    const Step<P>& step = definition_.steps[static_cast<size_t>(e.record.step)];
    return AfterDo(e, step, Outcome::Unknown("CLAIM_LOST", "every claim was lost to another saga"));
  }

  void BackOff(ExecutionPtr execution) {
    Execution& e = *execution;
    const Step<P>& step = definition_.steps[static_cast<size_t>(e.record.step)];
    const bool lasting = e.record.state != State::kRunning;
    absl::Duration pause =
        Backoff(step.retry.backoff_initial, lasting ? step.retry.undo_backoff_max : step.retry.backoff_max,
                e.record.attempt, random_);
    if (absl::Duration left = TimeLeft(e, step); !lasting && e.record.attempt >= step.retry.attempts_max) {
      if (left > absl::ZeroDuration()) pause = std::min(pause, left);  // the last attempt is when the time is over
    }
    Park(std::move(execution), pause);
  }

  void Park(ExecutionPtr execution, absl::Duration pause) {
    Execution& e = *execution;
    bool stopping;
    {
      std::lock_guard lock(mutex_);
      stopping = stopping_;
    }
    if (stopping) {
      LetGo(execution, ShuttingDown());
      return;
    }
    std::unique_lock lock(e.mutex);
    if (!e.pending.empty()) {
      lock.unlock();
      Command command = Resume(e);
      Drive(std::move(execution), command);
      return;
    }
    // Under the lock, so that the timer's callback and Unpark find it stored.
    e.timer = scheduler_.At(clock_.Steady() + pause, [this, execution]() mutable {
      {
        std::lock_guard timer_lock(execution->mutex);
        execution->timer.reset();
      }
      Command command = Resume(*execution);
      Drive(std::move(execution), command);
    });
  }

  void Settle(ExecutionPtr execution) {
    Execution& e = *execution;
    std::vector<Settled> settled;
    {
      std::unique_lock lock(e.mutex);
      if (!e.pending.empty()) {  // asked just now, of a saga that has succeeded
        lock.unlock();
        Drive(std::move(execution), Command::kSettle);
        return;
      }
      e.ended = true;
      settled.swap(e.settled);
    }
    Remove(execution);
    if (e.wrote) observer_.OnSettled(e.record, Age(e));
    for (Settled& waiter : settled) waiter(&e.record);
  }

  absl::Duration Age(const Execution& e) const {
    if (e.began.has_value()) return clock_.Steady() - *e.began;
    return std::max(clock_.Now() - e.record.created_at, absl::ZeroDuration());  // two hosts' clocks
  }

  void LetGo(const ExecutionPtr& execution, const absl::Status& why) {
    std::vector<Settled> settled;
    std::vector<Pending> pending;
    {
      std::lock_guard lock(execution->mutex);
      execution->ended = true;
      settled.swap(execution->settled);
      pending.swap(execution->pending);
    }
    Remove(execution);
    for (Settled& waiter : settled) waiter(why);
    for (Pending& asked : pending) asked.settled(why);
  }

  const Definition<P>& definition_;
  Journal<P>& journal_;
  const Clock& clock_;
  Scheduler& scheduler_;
  Random& random_;
  Observer& observer_;
  const RunnerOptions options_;

  mutable std::mutex mutex_;
  std::condition_variable all_ended_;
  absl::flat_hash_map<Uuid, ExecutionPtr> live_;
  size_t recovered_in_flight_ = 0;
  bool stopping_ = false;
  std::atomic<bool> stopped_{false};
};

}  // namespace waybill::saga
