// The sandbox itself: takes calls, lets their behaviour decide what becomes of them, keeps the books, and lets no
// answer out before the log holds what it rests on. Knows nothing of gRPC.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/batcher.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/scheduler.h"
#include "services/sandbox/behaviour.h"
#include "services/sandbox/book_log.h"
#include "services/sandbox/books.h"

namespace waybill::sandbox {

enum class Target { kGateway, kDispatcher, kPayouts };

// The RPCs of each target, as `Behaviour::methods` names them.
const std::vector<std::string>& MethodsOf(Target target);

// Whoever waits for an answer. Destroyed without one: the answer never comes.
class Caller {
 public:
  virtual ~Caller() = default;
  virtual void Answer(const absl::Status& status) = 0;
  // Runs `callback` when the caller stops waiting, if it does so before it is answered; perhaps at once.
  virtual void OnGone(absl::AnyInvocable<void()> callback) = 0;
};

// What a gateway's webhooks tell of: a charge that was answered pending, and what became of it, durably.
struct PaymentNews {
  enum class Kind { kPending, kApproved, kDeclined };
  Kind kind = Kind::kPending;
  std::string key;
  std::string token;
  int64_t amount_minor = 0;
  std::string currency;
};

struct SandboxOptions {
  // With the gateway's behaviour; on any thread.
  std::function<void(const PaymentNews&, const Behaviour&)> on_news = [](const PaymentNews&, const Behaviour&) {};
  // Of a gateway that sends payers to a page: ordinary charges are pending, and lapse after so long, unless its
  // behaviour says another time (expires_ms), or that payers pay by themselves (pending_for_ms).
  std::optional<absl::Duration> redirects_for;
  std::string checkout_url;    // of pending charges, with the token behind it; empty: none
  int64_t calls_max = 20'000;  // under way or held without an answer; beyond: RESOURCE_EXHAUSTED
};

class Sandbox {
 public:
  // One call, apart from who waits for it.
  struct Call {
    std::string key;  // under which it is idempotent; empty: it only looks
    // Fills in the caller's response from the books, changing them. `fresh`: answer a new key so.
    absl::AnyInvocable<absl::Status(Books& books, const Verdict& fresh, absl::Time now, std::optional<Record>& effect)>
        execute;
    // Fills in a response that declines, without the books; null: the call cannot be declined.
    absl::AnyInvocable<void()> decline;
  };

  // All outlive the sandbox. Callers that come back to it (OnGone) are gone when it is destroyed.
  Sandbox(Books books, BookLog& log, const Clock& clock, Scheduler& scheduler, Random& random, Metrics& metrics,
          const Loops& loops, SandboxOptions options = {});
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  const SandboxOptions& options() const { return options_; }

  // One call of `method`. `execute` runs before this returns, or (a slow call) later, or never; the caller is answered
  // from any thread.
  void Serve(Target target, std::string_view method, std::unique_ptr<Caller> caller, Call call);
  // The same for a look at the books that never misbehaves: it sees only what is durable when it is answered.
  void Read(std::unique_ptr<Caller> caller, std::function<void(const Books& books)> read);

  // Decides a charge or payout that is pending, and never misbehaves: `decide` is Books::Decide, or DecidePayout, under
  // whatever name it has. The caller is answered when that is durable.
  void Decide(std::unique_ptr<Caller> caller,
              const std::function<absl::Status(Books& books, absl::Time now, std::optional<Record>& effect)>& decide);

  // INVALID_ARGUMENT, see Check. Applies to calls from now on.
  absl::Status SetBehaviour(Target target, const Behaviour& behaviour);
  absl::Status SetBehaviours(const Behaviour& behaviour);  // of all; a method of any is known
  Behaviour behaviour(Target target) const;

  // Gives up the callers that were never to be answered (UNAVAILABLE), now and from now on.
  void ReleaseHeld();
  size_t held() const;

  // The log cannot be written: calls wait until it can.
  bool log_failing() const { return batcher_.retrying() > 0; }

 private:
  // A caller counts against calls_max until it is gone.
  struct Leave {
    std::shared_ptr<std::atomic<int64_t>> calls;
    void operator()(Caller* caller) const {
      delete caller;
      calls->fetch_sub(1, std::memory_order_relaxed);
    }
  };
  using Admitted = std::unique_ptr<Caller, Leave>;

  // A key at a target: one whose first call is late or slow, and not answered yet, or that is pending.
  using FirstCall = std::pair<Target, std::string>;

  // Waits for its line, or (a repetition, a look) for the lines before it.
  struct Pending {
    std::string line;  // may be empty
    Admitted caller;   // null: nobody waits for it, a pending charge's time was over
    absl::Status status;
    bool lost = false;  // never answer
    SteadyTime answer_at;
    std::optional<FirstCall> first;                  // of a late call, until it is answered
    std::optional<PaymentNews> news = std::nullopt;  // of its line
  };

  class Writer final : public BatchWriter<Pending> {
   public:
    Writer(Sandbox& sandbox, BookLog& log) : sandbox_(sandbox), log_(log) {}
    BatchResult Write(std::span<Pending> batch) override;
    void Complete(Pending& pending, const absl::Status& durable) override;
    absl::Status BadDataError() override { return absl::InternalError("unreachable: the log takes any line"); }

   private:
    Sandbox& sandbox_;
    BookLog& log_;
    std::string lines_;
  };

  struct TargetState {
    Behaviour behaviour;                                 // under mutex_
    std::array<prometheus::Counter*, kFateKinds> fates;  // by Fate::Kind
  };

  // Executes, and queues the answer behind what the log has to hold for it. Under mutex_: the log holds the changes in
  // the order in which they were made.
  void Execute(Call& call, Pending pending, const Verdict& fresh);
  // Into the line, and what is told of it. Under mutex_.
  void Note(const std::optional<Record>& effect, Pending& pending);
  // What becomes of a charge under a new key that nothing befalls. Under mutex_.
  Verdict OrdinaryVerdict() const;
  // What the books say to be pending is decided when its time is over. Under mutex_.
  void DecideLater(Target target, const std::string& key, absl::Time until);
  void DecideNow(const FirstCall& pending);
  // What a repetition of a first call that is not answered yet gets, other than an answer from the books.
  std::optional<absl::Status> AnswerRepetition(Repetition repetition, bool executed, Call& call);
  void Forget(const FirstCall& first);
  Admitted Admit(std::unique_ptr<Caller> caller);  // null: refused, and answered so
  void Hold(std::shared_ptr<Caller> caller);
  TargetState& StateOf(Target target) { return targets_[static_cast<size_t>(target)]; }
  const TargetState& StateOf(Target target) const { return targets_[static_cast<size_t>(target)]; }

  const Clock& clock_;
  Scheduler& scheduler_;
  Random& random_;
  const SandboxOptions options_;
  const std::shared_ptr<std::atomic<int64_t>> calls_ = std::make_shared<std::atomic<int64_t>>(0);

  mutable std::mutex mutex_;  // over the books and the order in which their changes are queued, and behaviours
  Books books_;
  std::array<TargetState, 3> targets_;
  std::map<FirstCall, Scheduler::TimerId> lapsing_;  // pending charges and payouts
  std::condition_variable lapsed_;                   // one of them less
  std::map<FirstCall, bool> unanswered_;             // first calls that are late or slow; true: executed

  mutable std::mutex held_mutex_;
  std::unordered_map<uint64_t, std::shared_ptr<Caller>> held_;
  uint64_t next_held_ = 0;
  bool releasing_ = false;

  prometheus::Counter& refused_;
  prometheus::Histogram& batch_size_;
  prometheus::Histogram& append_seconds_;
  Writer writer_;
  Batcher<Pending> batcher_;
};

}  // namespace waybill::sandbox
