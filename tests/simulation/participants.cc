#include "tests/simulation/participants.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "fmt/format.h"
#include "runtime/status.h"
#include "tests/simulation/chance.h"

namespace waybill::simulation {

using sandbox::Fate;
using sandbox::Verdict;

struct Participants::Served {
  Owner caller;
  Call call;
  std::string name;  // method and key
  Chance chance;
  bool answered = false;
};

Participants::Participants(EventLoop& loop, uint64_t seed, const sandbox::Behaviour& behaviour,
                           absl::Duration clock_ahead, int drivers, Hooks hooks)
    : loop_(loop),
      seed_(seed),
      behaviour_(behaviour),
      clock_ahead_(clock_ahead),
      hooks_(std::move(hooks)),
      drivers_(drivers),
      books_(drivers) {}

void Participants::Change(sandbox::Record effect) {
  log_.emplace_back(loop_.Steady(), effect);
  if (const sandbox::Payment* payment = books_.FindPayment(effect.key)) effect.token = payment->token;
  hooks_.changed(effect);
}

std::set<std::string> Participants::Restore(absl::Duration lost) {
  std::set<std::string> orders;
  const SteadyTime since = loop_.Steady() - lost;
  books_ = sandbox::Books(drivers_);
  std::erase_if(log_, [&](const auto& entry) {
    if (entry.first <= since) {
      books_.Apply(entry.second);
      return false;
    }
    orders.insert(entry.second.order_id);
    return true;
  });
  deciding_.clear();
  return orders;
}

// Who died while standing still goes on to the end of its event, and what it asks for on the way never left it.
void Participants::Serve(Owner caller, Call call) {
  if (!loop_.lives(caller)) return;
  const std::string name = call.method + ' ' + call.key;
  Chance chance(seed_, {HashOf(name), ++calls_[name]});
  auto served = std::make_shared<Served>(Served{caller, std::move(call), name, chance});
  loop_.At(caller, served->call.deadline, [served] {
    if (std::exchange(served->answered, true)) return;
    served->call.done(absl::DeadlineExceededError("no answer in time"));
  });
  if (served->call.only_connected && away_ > 0 && !served->chance.OneIn(3)) {
    hooks_.tell(fmt::format("{}: not sent", name));
    absl::Status not_sent =
        MakeError(absl::StatusCode::kUnavailable, "no connection", {.reason = std::string(order::kCallNotSent)});
    return Answer(served, std::move(not_sent), absl::ZeroDuration());
  }
  loop_.After(kWorld, served->chance.Microseconds(200, 3'000), [this, served] { Arrive(served); });
}

void Participants::Arrive(const std::shared_ptr<Served>& call) {
  const bool can_decline = call->call.decline != nullptr;
  if (auto first = unanswered_.find(call->name); first != unanswered_.end()) {
    // While the first call is under way a repetition may be told anything, even that it is refused.
    switch (behaviour_.repetition) {
      case sandbox::Repetition::kDeclined:
        if (can_decline) {
          hooks_.tell(fmt::format("{}: refused, while the first call is under way", call->name));
          call->call.decline();
          return Answer(call, absl::OkStatus(), absl::ZeroDuration());
        }
        break;
      case sandbox::Repetition::kConflict:
        return Answer(call, absl::FailedPreconditionError("a call with this key is executing"), absl::ZeroDuration());
      case sandbox::Repetition::kByContract:
      case sandbox::Repetition::kAborted:
        break;
    }
    if (!first->second || behaviour_.repetition == sandbox::Repetition::kAborted) {
      return Answer(call, absl::AbortedError("a call with this key is executing"), absl::ZeroDuration());
    }
  }
  Fate fate = sandbox::Draw(behaviour_, call->call.method, call->chance);
  if (away_ > 0) fate.kind = Fate::Kind::kUnavailable;
  hooks_.tell(fmt::format("{}: {}", call->name, sandbox::NameOf(fate.kind)));
  Verdict fresh;
  switch (fate.kind) {
    case Fate::Kind::kUnavailable:
      return Answer(call, absl::UnavailableError("it is away"), absl::ZeroDuration());
    case Fate::Kind::kLostBefore:
      return;
    case Fate::Kind::kLostAfter:
      (void)call->call.execute(fresh);
      return;
    case Fate::Kind::kSlow:
      unanswered_.emplace(call->name, false);
      loop_.After(kWorld, fate.delay, [this, call] {
        unanswered_.erase(call->name);
        hooks_.tell(fmt::format("{}: executed late", call->name));
        Execute(call, Verdict(), absl::ZeroDuration());
      });
      return;
    case Fate::Kind::kLate:
      if (unanswered_.emplace(call->name, true).second) {
        loop_.After(kWorld, fate.delay, [this, call] { unanswered_.erase(call->name); });
      }
      break;
    case Fate::Kind::kDecline:
      fresh.kind = Verdict::Kind::kDecline;
      break;
    case Fate::Kind::kPending:
      fresh = {Verdict::Kind::kPending, now() + std::min(fate.pending_for, pending_max_)};
      if (fate.expires_in < absl::InfiniteDuration()) fresh.expires = now() + fate.expires_in;
      break;
    case Fate::Kind::kOrdinary:
      break;
  }
  Execute(call, fresh, fate.delay);
}

void Participants::Execute(const std::shared_ptr<Served>& call, const Verdict& fresh, absl::Duration answer_after) {
  absl::Status status = call->call.execute(fresh);
  DecideLater(call->call.key);
  Answer(call, std::move(status), answer_after);
}

void Participants::Answer(const std::shared_ptr<Served>& call, absl::Status status, absl::Duration after) {
  loop_.After(call->caller, after + call->chance.Microseconds(200, 3'000), [call, status = std::move(status)] {
    if (!std::exchange(call->answered, true)) call->call.done(status);
  });
}

// Somebody decides a pending charge, before its time or after it.
void Participants::DecideLater(const std::string& key) {
  const sandbox::Payment* payment = books_.FindPayment(key);
  if (payment == nullptr || payment->state != sandbox::Payment::State::kPending) return;
  if (!deciding_.insert(key).second) return;
  Chance chance(seed_, {HashOf(key), 0});
  const absl::Duration left = payment->until - now();
  const bool approve = !chance.OneIn(4);
  loop_.After(kWorld, left * (0.01 * static_cast<double>(chance.Between(0, 120))),
              [this, key, token = payment->token, approve] {
                std::optional<sandbox::Record> effect;
                const bool decided = books_.Decide(key, approve, now(), effect).ok() && effect.has_value();
                if (!decided) return;
                hooks_.tell(fmt::format("{} is {}", key, approve ? "approved" : "declined"));
                Change(*effect);
                hooks_.decided(key, token, approve);
              });
}

// A process may be dead when its calls are executed.

void SimulatedGateway::Charge(const order::ParticipantCall& call, const domain::Order& order,
                              absl::AnyInvocable<void(absl::StatusOr<order::ChargeResult>)> done) {
  auto answer = std::make_shared<sandbox::ChargeAnswer>();
  const sandbox::Charge charge{call.key, call.order_id, order.amount_minor, order.currency};
  auto execute = [&all = all_, charge, answer](const Verdict& fresh) {
    std::optional<sandbox::Record> effect;
    absl::StatusOr<sandbox::ChargeAnswer> charged = all.books().Charge(charge, fresh, all.now(), effect);
    if (effect) all.Change(*effect);
    if (charged.ok()) *answer = *std::move(charged);
    return charged.status();
  };
  auto decline = [answer] { *answer = {sandbox::ChargeAnswer::Kind::kDeclined, "", "IN_PROGRESS", "", {}}; };
  const bool retryable = declines_retryably_ && HashOf(call.key) % 2 == 0;
  auto pass_on = [answer, retryable, done = std::move(done)](const absl::Status& status) mutable {
    if (!status.ok()) return done(status);
    switch (answer->kind) {
      case sandbox::ChargeAnswer::Kind::kDeclined:
        return done(order::ChargeResult::Decline(answer->reason, retryable));
      case sandbox::ChargeAnswer::Kind::kApproved:
        return done(order::ChargeResult::Approve(answer->reference));
      case sandbox::ChargeAnswer::Kind::kPending:
        return done(order::ChargeResult::Postpone(answer->token, answer->until, "", answer->expires));
    }
  };
  all_.Serve(caller_, {"Charge", call.key, call.deadline, execute, decline, std::move(pass_on), one_of_several_});
}

void SimulatedGateway::Refund(const order::ParticipantCall& call, const domain::Order&,
                              absl::AnyInvocable<void(absl::StatusOr<order::RefundResult>)> done) {
  auto answer = std::make_shared<sandbox::RefundAnswer>();
  auto execute = [&all = all_, key = call.key, order_id = call.order_id, answer](const Verdict&) {
    std::optional<sandbox::Record> effect;
    absl::StatusOr<sandbox::RefundAnswer> refunded = all.books().Refund(key, order_id, all.now(), effect);
    if (effect) all.Change(*effect);
    if (refunded.ok()) *answer = *std::move(refunded);
    return refunded.status();
  };
  auto pass_on = [answer, done = std::move(done)](const absl::Status& status) mutable {
    if (!status.ok()) return done(status);
    done(order::RefundResult{answer->refunded_minor, answer->reference, answer->charge_reference});
  };
  all_.Serve(caller_, {"Refund", call.key, call.deadline, execute, nullptr, std::move(pass_on), one_of_several_});
}

void SimulatedGateway::RefundPart(const order::ParticipantCall& call, const order::ChargePart& part,
                                  absl::AnyInvocable<void(absl::StatusOr<order::RefundPartResult>)> done) {
  auto answer = std::make_shared<sandbox::RefundPartAnswer>();
  const sandbox::PartToRefund asked{call.key, call.order_id, part.refund_id, part.amount_minor, part.currency};
  auto execute = [&all = all_, asked, answer](const Verdict&) {
    std::optional<sandbox::Record> effect;
    absl::StatusOr<sandbox::RefundPartAnswer> refunded = all.books().RefundPart(asked, all.now(), effect);
    if (effect) all.Change(*effect);
    if (refunded.ok()) *answer = *std::move(refunded);
    return refunded.status();
  };
  auto pass_on = [answer, done = std::move(done)](const absl::Status& status) mutable {
    if (!status.ok()) return done(status);
    done(answer->reason.empty() ? order::RefundPartResult::Done(answer->reference)
                                : order::RefundPartResult::Refuse(answer->reason));
  };
  const std::string key = call.key + ' ' + part.refund_id;
  all_.Serve(caller_, {"RefundPart", key, call.deadline, execute, nullptr, std::move(pass_on), one_of_several_});
}

void SimulatedDispatcher::Assign(const order::ParticipantCall& call, const Uuid&, const domain::Order&, int,
                                 absl::AnyInvocable<void(absl::StatusOr<order::AssignResult>)> done) {
  auto answer = std::make_shared<sandbox::AssignAnswer>();
  auto execute = [&all = all_, key = call.key, order_id = call.order_id, answer](const Verdict& fresh) {
    std::optional<sandbox::Record> effect;
    absl::StatusOr<sandbox::AssignAnswer> assigned =
        all.books().Assign(key, order_id, fresh.kind == Verdict::Kind::kDecline, all.now(), effect);
    if (assigned.ok()) *answer = *std::move(assigned);
    return assigned.status();
  };
  auto decline = [answer] { *answer = {"", "IN_PROGRESS"}; };
  auto pass_on = [answer, done = std::move(done)](const absl::Status& status) mutable {
    if (!status.ok()) return done(status);
    order::AssignResult result{std::nullopt, answer->reason};
    if (!answer->driver_id.empty()) result.driver = domain::DriverSlot{answer->driver_id, 1};
    done(std::move(result));
  };
  all_.Serve(caller_, {"AssignDriver", call.key, call.deadline, execute, decline, std::move(pass_on)});
}

void SimulatedDispatcher::Release(const order::ParticipantCall& call, const Uuid&, const domain::Order&,
                                  absl::AnyInvocable<void(absl::Status)> done) {
  auto execute = [&all = all_, key = call.key, order_id = call.order_id](const Verdict&) {
    std::optional<sandbox::Record> effect;
    return all.books().Release(key, order_id, all.now(), effect).status();
  };
  all_.Serve(caller_, {"ReleaseDriver", call.key, call.deadline, execute, nullptr, std::move(done)});
}

}  // namespace waybill::simulation
