#include "services/sandbox/sandbox.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "runtime/status.h"

namespace waybill::sandbox {
namespace {

absl::Status Error(absl::StatusCode code, const char* reason, const char* message) {
  ErrorDetail detail;
  detail.reason = reason;
  return MakeError(code, message, detail);
}

BatcherOptions LogBatches() {
  BatcherOptions options;
  options.queue_max = std::numeric_limits<size_t>::max();  // calls_max is the limit
  return options;
}

constexpr Target kTargets[] = {Target::kGateway, Target::kDispatcher, Target::kPayouts};

const char* NameOf(Target target) {
  switch (target) {
    case Target::kGateway:
      return "gateway";
    case Target::kDispatcher:
      return "dispatcher";
    case Target::kPayouts:
      break;
  }
  return "payouts";
}

}  // namespace

const std::vector<std::string>& MethodsOf(Target target) {
  static const std::vector<std::string> gateway = {"Charge", "Authorize",  "Capture",
                                                   "Refund", "RefundPart", "GetPayment"};
  static const std::vector<std::string> dispatcher = {"AssignDriver", "ReleaseDriver"};
  static const std::vector<std::string> payouts = {"Pay", "GetPayout"};
  switch (target) {
    case Target::kGateway:
      return gateway;
    case Target::kDispatcher:
      return dispatcher;
    case Target::kPayouts:
      break;
  }
  return payouts;
}

Sandbox::Sandbox(Books books, BookLog& log, const Clock& clock, Scheduler& scheduler, Random& random, Metrics& metrics,
                 const Loops& loops, SandboxOptions options)
    : clock_(clock),
      scheduler_(scheduler),
      random_(random),
      options_(options),
      books_(std::move(books)),
      refused_(metrics.AddCounter("waybill_sandbox_refused_total", "Calls beyond the limit of calls under way.")),
      batch_size_(metrics.AddHistogram("waybill_sandbox_log_batch_size", "Calls that shared one write of the log.",
                                       SizeBuckets())),
      append_seconds_(metrics.AddHistogram("waybill_sandbox_log_append_seconds",
                                           "Time to append to the log and sync it.", LatencyBuckets())),
      writer_(*this, log),
      batcher_({&writer_}, LogBatches(), loops) {
  for (const Target target : kTargets) {
    for (int kind = 0; kind < kFateKinds; ++kind) {
      StateOf(target).fates[static_cast<size_t>(kind)] =
          &metrics.AddCounter("waybill_sandbox_calls_total", "Calls by what became of them.",
                              {{"target", NameOf(target)}, {"fate", NameOf(static_cast<Fate::Kind>(kind))}});
    }
  }
  std::lock_guard lock(mutex_);
  for (const auto& [key, payment] : books_.payments()) {
    if (payment.state == Payment::State::kPending) DecideLater(Target::kGateway, key, payment.until);
  }
  for (const auto& [key, payout] : books_.payouts()) {
    if (payout.state == Payout::State::kPending) DecideLater(Target::kPayouts, key, payout.until);
  }
}

Sandbox::~Sandbox() {
  std::unique_lock lock(mutex_);
  std::erase_if(lapsing_, [this](const auto& each) { return scheduler_.Cancel(each.second); });
  lapsed_.wait(lock, [this] { return lapsing_.empty(); });  // of those that run
}

void Sandbox::DecideLater(Target target, const std::string& key, absl::Time until) {
  const SteadyTime then = clock_.Steady() + std::max(until - clock_.Now(), absl::ZeroDuration());
  const FirstCall pending{target, key};
  lapsing_[pending] = scheduler_.At(then, [this, pending] { DecideNow(pending); });
}

void Sandbox::Note(const std::optional<Record>& effect, Pending& pending) {
  if (!effect.has_value()) return;
  pending.line = ToLine(*effect);
  PaymentNews news;
  switch (effect->effect) {
    case Effect::kPending:
      if (!options_.redirects_for) return;
      news.kind = PaymentNews::Kind::kPending;
      break;
    case Effect::kCharge:
    case Effect::kAuthorize:
      news.kind = PaymentNews::Kind::kApproved;
      break;
    case Effect::kDecline:
      news.kind = PaymentNews::Kind::kDeclined;
      break;
    default:
      return;
  }
  const Payment* payment = books_.FindPayment(effect->key);
  if (payment == nullptr || payment->token.empty()) return;  // it never was pending
  news.key = effect->key;
  news.token = payment->token;
  news.amount_minor = payment->amount_minor;
  news.currency = payment->currency;
  pending.news = std::move(news);
}

void Sandbox::DecideNow(const FirstCall& pending_of) {
  std::lock_guard lock(mutex_);
  std::optional<Record> effect;
  const auto& [target, key] = pending_of;
  // The timer goes by another clock than the books' times.
  if (target == Target::kPayouts) {
    const Payout* payout = books_.FindPayout(key);
    if (payout != nullptr) books_.DecidePayoutInTime(key, std::max(clock_.Now(), payout->until), effect);
  } else if (const Payment* payment = books_.FindPayment(key); payment != nullptr) {
    books_.DecideInTime(key, std::max(clock_.Now(), payment->until), effect);
  }
  if (effect.has_value()) {
    Pending pending;
    Note(effect, pending);
    (void)batcher_.Offer(pending);  // refused: the sandbox stops, and the next one finds it pending still
  }
  lapsing_.erase(pending_of);
  lapsed_.notify_all();
}

void Sandbox::Serve(Target target, std::string_view method, std::unique_ptr<Caller> caller, Call call) {
  Admitted admitted = Admit(std::move(caller));
  if (admitted == nullptr) return;
  std::unique_lock lock(mutex_);
  TargetState& state = StateOf(target);
  const FirstCall first{target, call.key};
  if (auto unanswered = unanswered_.find(first); unanswered != unanswered_.end()) {
    auto status = AnswerRepetition(state.behaviour.repetition, unanswered->second, call);
    if (status.has_value()) {
      lock.unlock();
      admitted->Answer(*status);
      return;
    }
  }
  Fate fate = Draw(state.behaviour, method, random_);
  state.fates[static_cast<size_t>(fate.kind)]->Increment();
  if (fate.kind == Fate::Kind::kUnavailable) {
    lock.unlock();
    admitted->Answer(Error(absl::StatusCode::kUnavailable, "SANDBOX_UNAVAILABLE", "the sandbox plays dead"));
    return;
  }
  if (fate.kind == Fate::Kind::kLostBefore) {
    lock.unlock();
    Hold(std::move(admitted));
    return;
  }
  Pending pending;
  pending.caller = std::move(admitted);
  pending.lost = fate.kind == Fate::Kind::kLostAfter;
  pending.answer_at = clock_.Steady() + fate.delay;
  if (fate.kind == Fate::Kind::kLate && !call.key.empty() && unanswered_.emplace(first, true).second) {
    pending.first = first;
  }
  if (fate.kind == Fate::Kind::kSlow) {
    if (!call.key.empty()) unanswered_.emplace(first, false);
    const SteadyTime then = pending.answer_at;
    lock.unlock();
    scheduler_.At(then, [this, first, call = std::move(call), pending = std::move(pending)]() mutable {
      std::lock_guard later(mutex_);
      unanswered_.erase(first);
      Execute(call, std::move(pending), first.first == Target::kPayouts ? Verdict{} : OrdinaryVerdict());
    });
    return;
  }
  Verdict fresh = target == Target::kPayouts ? Verdict{} : OrdinaryVerdict();
  if (state.behaviour.held_ms > 0) fresh.held_for = absl::Milliseconds(state.behaviour.held_ms);
  if (fate.kind == Fate::Kind::kDecline) fresh.kind = Verdict::Kind::kDecline;
  if (fate.kind == Fate::Kind::kPending) {
    fresh.kind = Verdict::Kind::kPending;
    fresh.until = clock_.Now() + fate.pending_for;
    if (fate.expires_in != absl::InfiniteDuration()) fresh.expires = clock_.Now() + fate.expires_in;
  }
  Execute(call, std::move(pending), fresh);
}

Verdict Sandbox::OrdinaryVerdict() const {
  Verdict verdict;
  if (!options_.redirects_for) return verdict;
  const Behaviour& behaviour = StateOf(Target::kGateway).behaviour;
  const absl::Time now = clock_.Now();
  verdict.kind = Verdict::Kind::kPending;
  verdict.expires =
      now + (behaviour.expires_ms > 0 ? absl::Milliseconds(behaviour.expires_ms) : *options_.redirects_for);
  verdict.lapses = behaviour.pending_for_ms == 0;
  verdict.until = verdict.lapses ? *verdict.expires : now + absl::Milliseconds(behaviour.pending_for_ms);
  return verdict;
}

void Sandbox::Execute(Call& call, Pending pending, const Verdict& fresh) {
  std::optional<Record> effect;
  pending.status = call.execute(books_, fresh, clock_.Now(), effect);
  Note(effect, pending);
  if (effect.has_value() && effect->effect == Effect::kPending)
    DecideLater(Target::kGateway, effect->key, *effect->until);
  if (effect.has_value() && effect->effect == Effect::kPendingPayout) {
    DecideLater(Target::kPayouts, effect->key, *effect->until);
  }
  if (!batcher_.Offer(pending)) pending.caller->Answer(absl::UnavailableError("the sandbox is stopping"));
}

std::optional<absl::Status> Sandbox::AnswerRepetition(Repetition repetition, bool executed, Call& call) {
  // What undoes a call that is executed already is no repetition of it.
  if (executed && !call.decline) return std::nullopt;
  if (repetition == Repetition::kDeclined && call.decline) {
    call.decline();
    return absl::OkStatus();
  }
  const char* message = "a call with this key is still executing";
  if (repetition == Repetition::kConflict) {
    return Error(absl::StatusCode::kFailedPrecondition, "KEY_IN_PROGRESS", message);
  }
  if (executed && repetition != Repetition::kAborted) return std::nullopt;
  return Error(absl::StatusCode::kAborted, "KEY_IN_PROGRESS", message);
}

void Sandbox::Forget(const FirstCall& first) {
  std::lock_guard lock(mutex_);
  unanswered_.erase(first);
}

void Sandbox::Read(std::unique_ptr<Caller> caller, std::function<void(const Books&)> read) {
  Pending pending;
  pending.caller = Admit(std::move(caller));
  if (pending.caller == nullptr) return;
  pending.answer_at = SteadyTime::InfinitePast();
  std::lock_guard lock(mutex_);
  read(books_);
  if (!batcher_.Offer(pending)) pending.caller->Answer(absl::UnavailableError("the sandbox is stopping"));
}

void Sandbox::Decide(
    std::unique_ptr<Caller> caller,
    const std::function<absl::Status(Books& books, absl::Time now, std::optional<Record>& effect)>& decide) {
  Pending pending;
  pending.caller = Admit(std::move(caller));
  if (pending.caller == nullptr) return;
  pending.answer_at = SteadyTime::InfinitePast();
  std::lock_guard lock(mutex_);
  std::optional<Record> effect;
  pending.status = decide(books_, clock_.Now(), effect);
  Note(effect, pending);
  if (!batcher_.Offer(pending)) pending.caller->Answer(absl::UnavailableError("the sandbox is stopping"));
}

absl::Status Sandbox::SetBehaviour(Target target, const Behaviour& behaviour) {
  if (auto status = Check(behaviour, MethodsOf(target)); !status.ok()) return status;
  std::lock_guard lock(mutex_);
  StateOf(target).behaviour = behaviour;
  return absl::OkStatus();
}

absl::Status Sandbox::SetBehaviours(const Behaviour& behaviour) {
  std::vector<std::string> known;
  for (const Target target : kTargets) {
    for (const std::string& method : MethodsOf(target)) known.push_back(method);
  }
  if (auto status = Check(behaviour, known); !status.ok()) return status;
  std::lock_guard lock(mutex_);
  for (TargetState& target : targets_) target.behaviour = behaviour;
  return absl::OkStatus();
}

Behaviour Sandbox::behaviour(Target target) const {
  std::lock_guard lock(mutex_);
  return StateOf(target).behaviour;
}

Sandbox::Admitted Sandbox::Admit(std::unique_ptr<Caller> caller) {
  int64_t before = calls_->fetch_add(1, std::memory_order_relaxed);
  Admitted admitted(caller.release(), Leave{calls_});
  if (before < options_.calls_max) return admitted;
  refused_.Increment();
  admitted->Answer(Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_CALLS", "too many calls under way"));
  return Admitted(nullptr, Leave{calls_});
}

void Sandbox::Hold(std::shared_ptr<Caller> caller) {
  uint64_t id;
  bool releasing;
  {
    std::lock_guard lock(held_mutex_);
    id = next_held_++;
    releasing = releasing_;
    if (!releasing) held_.emplace(id, caller);
  }
  if (releasing) {
    caller->Answer(absl::UnavailableError("the sandbox is stopping"));
    return;
  }
  caller->OnGone([this, id] {
    std::shared_ptr<Caller> gone;
    {
      std::lock_guard lock(held_mutex_);
      auto it = held_.find(id);
      if (it == held_.end()) return;
      gone = std::move(it->second);
      held_.erase(it);
    }
    gone->Answer(absl::CancelledError("the caller is gone"));
  });
}

void Sandbox::ReleaseHeld() {
  std::unordered_map<uint64_t, std::shared_ptr<Caller>> held;
  {
    std::lock_guard lock(held_mutex_);
    releasing_ = true;
    held.swap(held_);
  }
  for (auto& [id, caller] : held) caller->Answer(absl::UnavailableError("the sandbox is stopping"));
}

size_t Sandbox::held() const {
  std::lock_guard lock(held_mutex_);
  return held_.size();
}

BatchResult Sandbox::Writer::Write(std::span<Pending> batch) {
  lines_.clear();
  for (const Pending& pending : batch) lines_ += pending.line;
  sandbox_.batch_size_.Observe(static_cast<double>(batch.size()));
  if (lines_.empty()) return BatchResult::kWritten;
  auto start = std::chrono::steady_clock::now();
  if (!log_.Append(lines_).ok()) return BatchResult::kTryAgain;
  sandbox_.append_seconds_.Observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return BatchResult::kWritten;
}

void Sandbox::Writer::Complete(Pending& pending, const absl::Status& durable) {
  if (durable.ok() && pending.news.has_value()) {
    sandbox_.options_.on_news(*pending.news, sandbox_.behaviour(Target::kGateway));
  }
  if (pending.caller == nullptr) return;
  if (!durable.ok()) {
    pending.caller->Answer(durable);
  } else if (pending.lost) {
    sandbox_.Hold(std::move(pending.caller));
  } else if (pending.answer_at > sandbox_.clock_.Steady()) {
    sandbox_.scheduler_.At(pending.answer_at, [&sandbox = sandbox_, first = std::move(pending.first),
                                               caller = std::move(pending.caller), status = std::move(pending.status)] {
      if (first.has_value()) sandbox.Forget(*first);
      caller->Answer(status);
    });
  } else {
    if (pending.first.has_value()) sandbox_.Forget(*pending.first);
    pending.caller->Answer(pending.status);
  }
}

}  // namespace waybill::sandbox
