#include "saga/runner.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "runtime/status.h"
#include "runtime/text.h"

namespace waybill::saga {
namespace {

absl::Status TakenOver() { return domain::ReasonError("SAGA_TAKEN_OVER", "another process took the saga over"); }

absl::Status ShuttingDown() {
  return domain::ReasonError("SHUTTING_DOWN", "this process is draining; the saga goes on elsewhere");
}

absl::Status NoRoom() { return domain::QueueFull("too many unfinished sagas", absl::Seconds(1)); }

}  // namespace

Runner::Runner(const Kinds& kinds, Journal& journal, const Clock& clock, Scheduler& scheduler, Random& random,
               Observer& observer, RunnerOptions options)
    : kinds_(kinds),
      journal_(journal),
      clock_(clock),
      scheduler_(scheduler),
      random_(random),
      observer_(observer),
      options_(options) {
  for (const Definition& definition : kinds_.all()) live_of_.try_emplace(definition.kind, 0);
}

Runner::ExecutionPtr Runner::Claimed(std::unique_ptr<Record> record) {
  const Definition* definition = kinds_.Find(record->kind, record->version);
  if (definition == nullptr) std::abort();  // a journal hands out none: a bug
  return std::make_shared<Execution>(*definition, std::move(record), clock_, observer_, options_.tracer);
}

void Runner::Start(std::unique_ptr<Record> fresh, Begun begun, Settled settled) {
  if (room() == 0) {
    begun(NoRoom());
    return;
  }
  const Definition* definition = kinds_.Newest(fresh->kind);
  if (definition == nullptr) std::abort();  // a bug of the caller's
  fresh->version = definition->version;
  auto execution = std::make_shared<Execution>(*definition, std::move(fresh), clock_, observer_, options_.tracer);
  Execution& e = *execution;
  e.began = e.asked_at = clock_.Steady();
  Insert(execution);
  journal_.Begin(e.progress.record(), [this, execution = std::move(execution), begun = std::move(begun),
                                       settled = std::move(settled), span = e.trace.Begin("journal begin")](
                                          absl::StatusOr<std::unique_ptr<Record>> existing) mutable {
    if (!existing.ok()) span.Fail(std::string(existing.status().message()));
    span.End();
    if (!existing.ok() || *existing != nullptr) {
      LetGo(execution, existing.ok() ? TakenOver() : existing.status());  // who found it in the books, and waits here
      begun(std::move(existing));
      return;
    }
    {
      std::lock_guard lock(execution->mutex);
      execution->settled.push_back(std::move(settled));
    }
    {
      std::lock_guard lock(mutex_);
      execution->begun = true;
      execution->renew_at = execution->asked_at + options_.lease / 3;
    }
    begun(std::move(existing));
    observer_.OnTransition(execution->progress.record());
    Drive(std::move(execution), Command::kDoStep);
  });
}

bool Runner::WhenSettled(const Uuid& id, Settled& settled) {
  ExecutionPtr execution = Find(id);
  if (!execution) return false;
  std::lock_guard lock(execution->mutex);
  if (execution->ended) return false;
  execution->settled.push_back(std::move(settled));
  return true;
}

void Runner::Direct(const Uuid& id, Directive directive, Prepare prepare, Settled settled) {
  directive.detail = CleanText(std::move(directive.detail), kDetailBytesMax);
  Pending pending{std::move(directive), std::move(prepare), std::move(settled)};
  if (ExecutionPtr execution = Find(id); execution && Post(execution, pending)) return;
  if (stopped_) return pending.settled(ShuttingDown());
  // A person's retry and resolve make room sooner or later.
  const Directive::Kind kind = pending.directive.kind;
  if (room() == 0 && (kind == Directive::Kind::kCancel || kind == Directive::Kind::kClose)) {
    return pending.settled(NoRoom());
  }
  absl::StatusOr<std::unique_ptr<Record>> claimed = journal_.Claim(id, ClaimMode::kTakeOver);
  if (!claimed.ok()) {
    pending.settled(claimed.status());
    return;
  }
  ExecutionPtr execution = Claimed(*std::move(claimed));
  if (IsTerminal(execution->progress.record().state)) {
    Answer(*execution, pending, execution->progress.Apply(pending.directive));
    return;
  }
  execution->pending.push_back(std::move(pending));
  Adopt(std::move(execution));
}

absl::StatusOr<SignalResult> Runner::AddSignal(const Uuid& id, Signal signal) {
  const Outcome::Kind kind = signal.outcome.kind;
  if (!IsToken(signal.token)) return domain::BadField("token", "has to be 1-128 visible ASCII characters");
  if (!IsToken(signal.step)) return domain::BadField("step", "has to be 1-128 visible ASCII characters");
  if (kind == Outcome::Kind::kLater || kind == Outcome::Kind::kAgain)
    return domain::BadField("outcome", "has to be succeeded, rejected or unknown");
  CleanOutcome(signal.outcome);
  if (kind != Outcome::Kind::kSucceeded && signal.outcome.reason.empty()) {
    return domain::BadField("reason", "has to say why it has not succeeded");
  }
  signal.outcome.give_up = false;  // how often it is tried is the definition's word
  absl::StatusOr<SignalResult> result = journal_.AddSignal(id, signal);
  if (!result.ok() || *result != SignalResult::kWoken) return result;
  WAYBILL_FAILPOINT("signal.after_commit");
  // Whatever comes in between from here on, somebody's recovery finds it.
  if (stopped_ || room() == 0) return result;
  absl::StatusOr<std::unique_ptr<Record>> claimed = journal_.Claim(id, ClaimMode::kWoken);
  if (!claimed.ok() || !IsUnfinished((*claimed)->state)) return result;
  Adopt(Claimed(*std::move(claimed)));
  return result;
}

absl::StatusOr<size_t> Runner::RecoverExpired(bool own, size_t in_flight_max, std::string_view kind) {
  const size_t in_flight = recovered_in_flight();
  if (in_flight >= in_flight_max) return size_t{0};
  auto claimed = journal_.ClaimExpired(own, std::min(kClaimMax, in_flight_max - in_flight), kind);
  if (!claimed.ok()) return claimed.status();
  WAYBILL_FAILPOINT("recover.after_claim");
  for (std::unique_ptr<Record>& record : *claimed) {
    ExecutionPtr execution = Claimed(std::move(record));
    execution->recovered = true;
    const Record& claimed_record = execution->progress.record();
    if (!claimed_record.woken) observer_.OnRecovered(claimed_record);
    Adopt(std::move(execution));
  }
  return claimed->size();
}

absl::Status Runner::RenewLeases() {
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
  // One kind a piece: what is the matter with the tables of one shall not end the leases of another.
  std::sort(due.begin(), due.end(), [](const auto& a, const auto& b) {
    return std::tie(a->held.kind, a->held.id) < std::tie(b->held.kind, b->held.id);
  });
  absl::Status status;
  for (size_t from = 0, to = 0; from < due.size(); from = to) {
    while (to < due.size() && to - from < kPiece && due[to]->held.kind == due[from]->held.kind) ++to;
    status.Update(Renew(absl::MakeConstSpan(due).subspan(from, to - from)));
  }
  return status;
}

void Runner::Stop(SteadyTime deadline) {
  std::vector<ExecutionPtr> parked;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    for (auto& [id, execution] : live_) parked.push_back(execution);
  }
  std::sort(parked.begin(), parked.end(), [](const auto& a, const auto& b) { return a->held.id < b->held.id; });
  for (const ExecutionPtr& execution : parked) {
    if (Unpark(execution)) LetGo(execution, ShuttingDown());
  }
  std::unique_lock lock(mutex_);
  absl::Duration wait = std::max(deadline - clock_.Steady(), absl::ZeroDuration());
  all_ended_.wait_for(lock, absl::ToChronoNanoseconds(wait), [this] { return live_.empty(); });
  stopped_ = true;
}

size_t Runner::live() const {
  std::lock_guard lock(mutex_);
  return live_.size();
}

size_t Runner::recovered_in_flight() const {
  std::lock_guard lock(mutex_);
  return recovered_in_flight_;
}

size_t Runner::room() const {
  std::lock_guard lock(mutex_);
  return options_.live_max - std::min(options_.live_max, live_.size());
}

size_t Runner::room_to_recover(std::string_view kind) const {
  std::lock_guard lock(mutex_);
  const size_t quarter = options_.live_max / 4;
  size_t used = live_.size() + quarter;
  for (const auto& [other, live] : live_of_) {
    const size_t part = quarter / live_of_.size();
    if (other != kind && live < part) used += part - live;
  }
  return options_.live_max - std::min(options_.live_max, used);
}

// --- The sagas that this process drives.

void Runner::Insert(const ExecutionPtr& execution) {
  std::lock_guard lock(mutex_);
  execution->renew_at = clock_.Steady() + options_.lease / 3;
  if (execution->recovered) ++recovered_in_flight_;
  // Two may have claimed it here, one after the other; the later claim is the one that counts.
  ExecutionPtr& driven = live_[execution->held.id];
  if (!driven) ++live_of_[execution->definition.kind];
  if (!driven || driven->held.epoch < execution->held.epoch) driven = execution;
}

Runner::ExecutionPtr Runner::Find(const Uuid& id) const {
  std::lock_guard lock(mutex_);
  auto it = live_.find(id);
  return it == live_.end() ? nullptr : it->second;
}

void Runner::Remove(const ExecutionPtr& execution) {
  std::lock_guard lock(mutex_);
  if (execution->recovered) --recovered_in_flight_;
  auto it = live_.find(execution->held.id);
  if (it != live_.end() && it->second == execution) {
    live_.erase(it);
    --live_of_[execution->definition.kind];
  }
  if (live_.empty()) all_ended_.notify_all();
}

void Runner::Adopt(ExecutionPtr execution) {
  Insert(execution);
  Execution& e = *execution;
  {
    std::lock_guard lock(mutex_);
    e.begun = true;
  }
  const Command command = IsUnfinished(e.progress.record().state) ? e.progress.Adopted() : Command::kSettle;
  Drive(std::move(execution), command);
}

absl::Status Runner::Renew(absl::Span<const ExecutionPtr> due) {
  std::vector<Held> held;
  held.reserve(due.size());
  for (const ExecutionPtr& execution : due) held.push_back(execution->held);
  const SteadyTime asked = clock_.Steady();
  absl::StatusOr<std::vector<Uuid>> answer = journal_.Renew(held);
  if (!answer.ok()) return answer.status();
  const absl::flat_hash_set<Uuid> lost(answer->begin(), answer->end());
  for (const ExecutionPtr& execution : due) {
    if (!lost.contains(execution->held.id)) {
      std::lock_guard lock(mutex_);
      execution->renew_at = std::max(execution->renew_at, asked + options_.lease / 3);
    } else if (Unpark(execution)) {
      LetGo(execution, TakenOver());  // the others find out at their next write
    }
  }
  return absl::OkStatus();
}

// --- Directives.

bool Runner::Post(const ExecutionPtr& execution, Pending& pending) {
  {
    std::lock_guard lock(execution->mutex);
    if (execution->ended) return false;
    execution->pending.push_back(std::move(pending));
  }
  if (Unpark(execution)) Drive(execution, execution->progress.Resume());
  return true;
}

bool Runner::Unpark(const ExecutionPtr& execution) {
  std::lock_guard lock(execution->mutex);
  if (!execution->timer || !scheduler_.Cancel(*execution->timer)) return false;
  execution->timer.reset();
  return true;
}

Command Runner::TakePending(Execution& e, Command command) {
  while (true) {
    std::optional<Pending> asked;
    {
      std::lock_guard lock(e.mutex);
      if (e.pending.empty()) return command;
      asked.emplace(std::move(e.pending.front()));
      e.pending.erase(e.pending.begin());
    }
    const State before = e.progress.record().state;
    const absl::Status applied = e.progress.Apply(asked->directive);
    const State after = e.progress.record().state;
    if (after != before) {
      if (asked->prepare) asked->prepare(e.progress.record());
      command = IsUnfinished(after) ? e.progress.Resume() : Command::kSettle;
    } else if (applied.ok() && command == Command::kWait && asked->directive.kind == Directive::Kind::kRetry) {
      command = e.progress.AskedAgain("asked to retry");
    }
    Answer(e, *asked, applied);
    if (applied.ok() && e.progress.has_calls()) {
      asked->settled = [](auto) {};  // whoever asked has the answer, or waits for the end
      e.after_claim.push_back(*std::move(asked));
    }
  }
}

void Runner::Answer(Execution& e, Pending& asked, const absl::Status& applied) {
  const Record& record = e.progress.record();
  const bool closing = record.state == State::kClosing && asked.directive.kind != Directive::Kind::kRetry;
  if (!applied.ok()) {
    asked.settled(applied);
  } else if ((IsTerminal(record.state) || closing) && !e.progress.must_flush()) {
    // Whoever took it over may have an entry for the log that the next write takes along: that is not told yet.
    const std::unique_ptr<Record> durable = record.Clone();
    durable->seq = e.progress.persisted_seq();
    asked.settled(durable.get());
  } else {
    std::lock_guard lock(e.mutex);
    e.settled.push_back(std::move(asked.settled));
  }
}

// --- Driving.

void Runner::Drive(ExecutionPtr execution, Command command) {
  Execution& e = *execution;
  command = TakePending(e, command);
  const bool must_flush = e.progress.must_flush();
  switch (command) {
    case Command::kDoStep:
    case Command::kUndoStep:
    case Command::kCloseStep: {
      const Progress::Steps steps = e.progress.Next();
      const AnyAction& action = e.progress.ActionOf(steps.front());
      if (command != Command::kDoStep && !action.call) {
        Drive(std::move(execution), e.progress.NothingToCall());
      } else if (e.progress.must_flush_before(steps)) {
        Flush(std::move(execution), command);
      } else {
        Call(std::move(execution), steps);
      }
      return;
    }
    case Command::kRetryLater:
      if (must_flush) {
        Flush(std::move(execution), command);
      } else {
        const absl::Duration pause = e.progress.Pause(random_);
        Park(std::move(execution), pause);
      }
      return;
    case Command::kWait:
    case Command::kSettle:
      if (must_flush) {
        Flush(std::move(execution), command);
      } else {
        Settle(std::move(execution), command);
      }
      return;
  }
}

void Runner::Call(ExecutionPtr execution, const Progress::Steps& steps) {
  Execution& e = *execution;
  if (stopped_) return LetGo(execution, ShuttingDown());
  if (e.progress.BeginCalls(steps)) e.after_claim.clear();
  const Direction direction = e.progress.direction();
  const SteadyTime started = clock_.Steady();
  absl::InlinedVector<Attempt, 4> attempts;
  absl::InlinedVector<const AnyAction*, 4> actions;
  e.answers.clear();
  for (int at : steps) {
    attempts.push_back(e.progress.AttemptAt(at));
    actions.push_back(&e.progress.ActionOf(at));
    e.answers.push_back({at, {}});
  }
  absl::InlinedVector<Span, 4> spans;
  e.traceparents.clear();
  for (size_t i = 0; i < attempts.size(); ++i) {
    spans.push_back(e.trace.Attempt(steps[i], attempts[i], direction, actions[i]->journaled, e.definition));
    if (spans[i].recording()) e.traceparents.push_back(spans[i].context().Traceparent());
  }
  // All are sampled or none is.
  for (size_t i = 0; i < e.traceparents.size(); ++i) attempts[i].traceparent = e.traceparents[i];
  // Whoever answers last drives on, perhaps while the last call has not returned: nothing is looked at after it.
  e.unanswered = static_cast<int>(steps.size());
  Record& record = e.progress.record();
  for (size_t i = 0; i < attempts.size(); ++i) {
    actions[i]->call(attempts[i], record,
                     [this, execution, i, direction, started, step = attempts[i].step,
                      span = std::move(spans[i])](Outcome outcome) mutable {
                       if (outcome.kind == Outcome::Kind::kUnknown) span.Fail(outcome.reason);
                       if (span.recording()) {
                         span.Set("waybill.saga.outcome", std::string(Name(outcome.kind)));
                         if (!outcome.reason.empty()) span.Set("waybill.saga.reason", outcome.reason);
                         span.End();
                       }
                       observer_.OnAttempt(step, direction, outcome.kind, clock_.Steady() - started);
                       execution->answers[i].outcome = std::move(outcome);
                       if (--execution->unanswered > 0) return;
                       execution->trace.Answered(execution->answers);
                       const Command command = execution->progress.Answered(absl::MakeSpan(execution->answers));
                       Drive(std::move(execution), command);
                     });
  }
}

void Runner::Flush(ExecutionPtr execution, Command command) {
  Execution& e = *execution;
  if (stopped_) return LetGo(execution, ShuttingDown());
  e.asked_at = clock_.Steady();
  e.signal.reset();
  const Write write = e.progress.ToWrite(command == Command::kWait ? &e.signal : nullptr);
  journal_.Advance(write, [this, execution = std::move(execution), command,
                           span = e.trace.Part("journal advance")](absl::StatusOr<WriteResult> result) mutable {
    if (!result.ok()) span.Fail(std::string(result.status().message()));
    span.End();
    OnFlushed(std::move(execution), command, std::move(result));
  });
}

void Runner::OnFlushed(ExecutionPtr execution, Command command, absl::StatusOr<WriteResult> result) {
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
      e.progress.Written();
      e.after_claim.clear();
      {
        std::lock_guard lock(mutex_);
        e.renew_at = e.asked_at + options_.lease / 3;
      }
      e.wrote = true;
      observer_.OnTransition(e.progress.record());
      if (e.progress.record().state == State::kClosing) TellWaiters(e, &e.progress.record());
      if (command == Command::kWait && e.signal) command = e.progress.Signalled(*std::move(e.signal));
      Drive(std::move(execution), command);
      return;
    case WriteResult::kFenced:
      observer_.OnFenced(e.progress.record());
      LetGo(execution, TakenOver());
      return;
    case WriteResult::kConflict:
      observer_.OnLostClaim(e.progress.record());
      command = GoBackBeforeClaim(e);
      Drive(std::move(execution), command);
      return;
  }
}

void Runner::OnRefused(ExecutionPtr execution, const absl::Status& why) {
  Execution& e = *execution;
  const Record& refused = e.progress.record();
  observer_.OnRefused(refused, why);
  const bool refused_again = e.progress.refused();
  absl::StatusOr<std::unique_ptr<Record>> durable = journal_.Load(refused.id);
  if (!durable.ok() || (*durable)->epoch != refused.epoch || (*durable)->seq != e.progress.persisted_seq()) {
    LetGo(execution, durable.ok() ? TakenOver() : durable.status());
    return;
  }
  if (!IsUnfinished((*durable)->state)) {  // at rest, until a directive came that cannot be written
    LetGo(execution, why);
    return;
  }
  if (e.progress.HasDirective()) TellWaiters(e, why);
  e.after_claim.clear();
  std::string what = "the store refused what was to be written";
  for (const auto& [name, value] : GetErrorDetail(why).metadata) what += fmt::format(", {} {}", name, value);
  const Command command = e.progress.Refused(*std::move(durable), std::move(what));
  if (refused_again) {
    const Record& record = e.progress.record();
    Park(std::move(execution), e.progress.step(record.step).retry.undo_backoff_max);  // and then once more
  } else if (e.progress.must_flush()) {
    Flush(std::move(execution), command);
  } else {
    Drive(std::move(execution), command);
  }
}

void Runner::TellWaiters(Execution& e, absl::StatusOr<const Record*> what) {
  std::vector<Settled> settled;
  {
    std::lock_guard lock(e.mutex);
    settled.swap(e.settled);
  }
  for (Settled& waiter : settled) waiter(what);
}

Command Runner::GoBackBeforeClaim(Execution& e) {
  {
    std::lock_guard lock(e.mutex);
    e.pending.insert(e.pending.begin(), std::make_move_iterator(e.after_claim.begin()),
                     std::make_move_iterator(e.after_claim.end()));
  }
  e.after_claim.clear();
  return e.progress.ClaimLost(options_.conflicts_max);
}

void Runner::Park(ExecutionPtr execution, absl::Duration pause) {
  Execution& e = *execution;
  bool stopping;
  {
    std::lock_guard lock(mutex_);
    stopping = stopping_;
    if (!stopping && std::exchange(e.recovered, false)) --recovered_in_flight_;
  }
  if (stopping) {
    LetGo(execution, ShuttingDown());
    return;
  }
  std::unique_lock lock(e.mutex);
  if (!e.pending.empty()) {
    lock.unlock();
    const Command command = e.progress.Resume();
    Drive(std::move(execution), command);
    return;
  }
  // Under the lock, so that the timer's callback and Unpark find it stored.
  e.timer = scheduler_.At(clock_.Steady() + pause, [this, execution]() mutable {
    {
      std::lock_guard timer_lock(execution->mutex);
      execution->timer.reset();
    }
    const Command command = execution->progress.Resume();
    Drive(std::move(execution), command);
  });
  lock.unlock();
  // Stop may have looked for timers before this one was there.
  {
    std::lock_guard stop_lock(mutex_);
    stopping = stopping_;
  }
  if (stopping && Unpark(execution)) LetGo(execution, ShuttingDown());
}

void Runner::Settle(ExecutionPtr execution, Command command) {
  Execution& e = *execution;
  std::vector<Settled> settled;
  {
    std::unique_lock lock(e.mutex);
    if (!e.pending.empty()) {  // asked just now, of a saga that has succeeded, or waits
      lock.unlock();
      Drive(std::move(execution), command);
      return;
    }
    e.ended = true;
    settled.swap(e.settled);
  }
  Remove(execution);
  e.trace.Rested(e.progress.record());
  if (command == Command::kWait) {
    observer_.OnWaiting(e.progress.record());
  } else if (e.wrote) {
    observer_.OnSettled(e.progress.record(), Age(e));
  }
  for (Settled& waiter : settled) waiter(&e.progress.record());
}

absl::Duration Runner::Age(const Execution& e) const {
  if (e.began.has_value()) return clock_.Steady() - *e.began;
  return std::max(clock_.Now() - e.progress.record().created_at, absl::ZeroDuration());  // two hosts' clocks
}

void Runner::LetGo(const ExecutionPtr& execution, const absl::Status& why) {
  execution->trace.Lost(std::string(why.message()));
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

}  // namespace waybill::saga
